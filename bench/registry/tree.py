"""Where the source of a module lies: in a checkout, in an installed package, or in a commit. Nothing is imported."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath
from typing import Protocol

from bench.record.git import git

PACKAGES = ("methods", "suites")
"""Top folders of a checkout that hold what results come from; the engine has versions instead, as libraries have."""


@dataclass(frozen=True)
class Source:
    """A module's file. name: dotted. place: its path, below the checkout's root where it lies there. package: whether
    it is a package's __init__."""

    name: str
    place: PurePosixPath
    package: bool


class Tree(Protocol):
    """Modules by dotted name."""

    def find(self, name: str) -> Source | None:
        """The module, None if there is no such one, or it is the engine's or a library's."""

    def read(self, place: PurePosixPath) -> bytes:
        """Content of a file."""

    def beside(self, source: Source) -> list[PurePosixPath]:
        """Files in the module's folder and below that are no Python, in order."""


@dataclass(frozen=True)
class WorkTree:
    """The checkout at root as it is now, and the installed packages (`others`, names of top packages) of plug-ins."""

    root: Path
    others: frozenset[str] = frozenset()
    _known: dict[str, Source | None] = field(default_factory=dict)

    def find(self, name: str) -> Source | None:
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> Source | None:
        top = name.partition(".")[0]
        if top in PACKAGES:
            return _in_folder(name, lambda path: (self.root / path).is_file(), PurePosixPath())
        if top not in self.others:
            return None
        spec = PathFinder.find_spec(top)  # imports nothing, unlike importlib.util's
        if spec is None or spec.origin is None:
            return None
        if not spec.submodule_search_locations:
            return Source(name, PurePosixPath(spec.origin), False) if name == top else None
        above = Path(spec.submodule_search_locations[0]).parent
        return _in_folder(name, lambda path: Path(path).is_file(), PurePosixPath(above))

    def read(self, place: PurePosixPath) -> bytes:
        return (self.root / place).read_bytes()

    def beside(self, source: Source) -> list[PurePosixPath]:
        folder = self.root / source.place.parent
        found = [path for path in folder.rglob("*") if path.is_file() and _is_data(path.name)]
        return sorted(source.place.parent / path.relative_to(folder).as_posix() for path in found)


@dataclass(frozen=True)
class CommitTree:
    """The checkout at root as it was at a commit. Plug-ins have none: what they were is not known. Raises OSError or
    subprocess.SubprocessError where git does not know the commit. blobs: content by blob, kept between commits."""

    root: Path
    commit: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    _known: dict[str, Source | None] = field(default_factory=dict)

    @cached_property
    def files(self) -> Mapping[PurePosixPath, str]:
        """Blob of each file below PACKAGES."""
        listing = git(self.root, "ls-tree", "-r", "-z", "--full-tree", self.commit, "--", *PACKAGES).decode()
        entries = (line.split("\t", 1) for line in listing.split("\0") if line)
        return {PurePosixPath(path): about.split()[2] for about, path in entries}

    def find(self, name: str) -> Source | None:
        if name not in self._known:
            inside = name.partition(".")[0] in PACKAGES
            self._known[name] = _in_folder(name, self.files.__contains__, PurePosixPath()) if inside else None
        return self._known[name]

    def read(self, place: PurePosixPath) -> bytes:
        blob = self.files[place]
        if blob not in self.blobs:
            self._read_all()
        return self.blobs[blob]

    def beside(self, source: Source) -> list[PurePosixPath]:
        folder = source.place.parent
        return sorted(path for path in self.files if path.is_relative_to(folder) and _is_data(path.name))

    def _read_all(self) -> None:
        """All that is lacking, in one go: asking git for each would take a process each."""
        lacking = sorted({blob for blob in self.files.values() if blob not in self.blobs})
        done = subprocess.run(
            ["git", "-C", str(self.root), "cat-file", "--batch"],
            input="\n".join(lacking).encode(), capture_output=True, check=True, timeout=300,
        )  # fmt: skip
        rest = done.stdout
        for blob in lacking:
            head, _, rest = rest.partition(b"\n")
            size = int(head.split()[2])
            self.blobs[blob], rest = rest[:size], rest[size + 1 :]


def _in_folder(name: str, exists: Callable[[PurePosixPath], bool], above: PurePosixPath) -> Source | None:
    path = above.joinpath(*name.split("."))
    for place, package in ((path / "__init__.py", True), (path.with_suffix(".py"), False)):
        if exists(place):
            return Source(name, place, package)
    return None


def _is_data(name: str) -> bool:
    """Whether code may read a file of this name: words about a suite, and its settings, are no data."""
    return not name.endswith((".py", ".pyc", ".md", ".txt")) and name != "suite.toml"
