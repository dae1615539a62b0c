"""Real fonts, from packages of one family each, split by family."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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

WEIGHTS = (400, 700)
"""Regular and bold: the thinnest and the blackest that families have can hardly be read at 32 pixels."""
_NAMED = ("Regular", "Bold", "Italic")


@dataclass(frozen=True)
class Font:
    """weight: of a file that holds all of them; None of one that has its own."""

    file: Path
    weight: int | None = None


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


def fonts(split: Split) -> list[list[Font]]:
    """The fonts of each family. Raises MissingAsset."""
    return [_of(family) for family in FAMILIES[split]]


def _of(family: str) -> list[Font]:
    requirement = requirement_of(family)
    files = sorted((packages.folder_of(_folder_name(family), requirement) / "files").glob("*.ttf"))
    found = [Font(file, weight) for file in files if "wght" in file.name for weight in WEIGHTS]
    found += [Font(file) for file in files if file.stem.rpartition("-")[2] in _NAMED]
    if not found:
        raise MissingAsset(f"fontpkg-{family} is installed without its fonts; {packages.install([requirement])}")
    return found


def _folder_name(family: str) -> str:
    return f"fontpkg_{family.replace('-', '_')}"
