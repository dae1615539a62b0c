"""Which methods a change touches, read from paths and text alone: nothing of the change is imported."""

from pathlib import Path

from bench.run.sandbox.catalogue import Catalogue
from bench.submit.changes import Changes

_CODE = (".py", ".toml", ".yaml")


def touched_methods(catalogue: Catalogue, changes: Changes) -> dict[str, list[str]]:
    """Slugs of methods by suite, the suite's baseline first, which they are compared with.

    A method is touched if its own file changed, a helper (`_name.py`, or in a folder `_name`) beside it or further up,
    or its suite. catalogue: of the same checkout.
    """
    files = [Path(path) for path in changes.files if path.endswith(_CODE)]
    suites = {
        slug
        for slug, (_, info) in catalogue.suites.items()
        if any((changes.root / path).is_relative_to(info.folder) for path in files)
    }
    found: dict[str, list[str]] = {}
    for slug, listed in sorted(catalogue.methods.items()):
        own = Path(*listed.module.split(".")).with_suffix(".py")
        if listed.suite in suites or any(path == own or _helps(path, own) for path in files):
            found.setdefault(listed.suite, []).append(slug)
    return {
        suite: list(dict.fromkeys([catalogue.info(suite).baseline, *slugs]))
        for suite, slugs in found.items()
        if suite in catalogue.suites
    }


def _helps(path: Path, method: Path) -> bool:
    folder = next((parent for parent in path.parents if method.is_relative_to(parent)), Path())
    return folder != Path() and path.relative_to(folder).parts[0].startswith("_")
