"""Real fonts, from packages of one family each, split by family."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.contract import MissingAsset
from suites._vision import packages
from suites._vision.photographs import Split

FAMILIES: Mapping[Split, Mapping[str, str]] = {
    "train": {
        "archivo": "2.1",
        "bitter": "3.21",
        "caveat": "2.0",
        "comfortaa": "3.105",
        "dm-mono": "1.0",
        "fira-sans": "4.203",
        "inconsolata": "3.1",
        "josefin-sans": "2.1",
        "kalam": "2.1",
        "lobster": "2.100",
        "lora": "3.8",
        "merriweather": "2.100",
        "montserrat": "9.0",
        "playfair-display": "1.203",
        "righteous": "1.0",
        "roboto-slab": "2.2",
    },
    "test": {
        "alegreya-sans": "2.4",
        "cabin": "3.1",
        "crimson-text": "1.100",
        "exo-2": "2.10",
        "indie-flower": "2.0",
        "libre-baskerville": "2.5",
        "oswald": "4.103",
        "zilla-slab": "1.2",
    },
}
"""Family -> version of its package."""

_STYLES = 3
"""The most files that are taken of a family, so that those with eighteen weights do not drown the others."""


def requirement_of(family: str) -> str:
    """As pip writes it."""
    version = next(families[family] for families in FAMILIES.values() if family in families)
    return f"fontpkg-{family}=={version}"


def needed() -> Iterator[tuple[str, str]]:
    """(folder, requirement) of all packages."""
    for families in FAMILIES.values():
        for family in families:
            yield _folder_name(family), requirement_of(family)


def missing() -> str | None:
    """What is not installed, with the line that mends it."""
    return packages.missing(needed())


def fonts(split: Split) -> list[list[Path]]:
    """The files of each family. Raises MissingAsset."""
    return [_files(family) for family in FAMILIES[split]]


def _files(family: str) -> Sequence[Path]:
    requirement = requirement_of(family)
    every = sorted((packages.folder_of(_folder_name(family), requirement) / "files").glob("*.ttf"))
    if not every:
        raise MissingAsset(f"fontpkg-{family} is installed without a font; {packages.install([requirement])}")
    # Evenly over the names: the first are the blackest, the last the thinnest.
    taken = min(_STYLES, len(every))
    return [every[round(part * (len(every) - 1) / max(1, taken - 1))] for part in range(taken)]


def _folder_name(family: str) -> str:
    return f"fontpkg_{family.replace('-', '_')}"
