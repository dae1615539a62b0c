"""The checkout as it was at a commit: which methods and suites there were, and what they came from, wherever it lay."""

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from bench.contract import SCALES
from bench.record.git import git_or_none
from bench.registry.content import Content, Contents
from bench.registry.key import settings_of
from bench.registry.literals import NotLiteral, Written, methods_written
from bench.registry.registry import Listed, Registry
from bench.registry.suites import BadSuite, SuiteInfo, read_suite
from bench.registry.tree import CommitTree


@dataclass(frozen=True)
class Past:
    """methods: dotted module and name of each method's class, by suite and slug."""

    contents: Contents
    methods: Mapping[tuple[str, str], tuple[str, str]]
    suites: Mapping[str, SuiteInfo]
    _known: dict[tuple[str, str | None], str | None] = field(default_factory=dict)

    def method_hash(self, suite: str, slug: str) -> str | None:
        """Of what a method came from; None where there was none that can be read."""
        where = self.methods.get((suite, slug))
        return None if where is None else self._hash(where, lambda: self.contents.of(where))

    def problem_hash(self, suite: str, problem: str) -> str | None:
        """Of what a problem's scores came from."""
        info = self.suites.get(suite)
        if info is None or problem not in info.problems:
            return None
        module = info.problems[problem].module
        return self._hash((module, None), lambda: self.contents.of_module(module))

    def _hash(self, where: tuple[str, str | None], content: Callable[[], Content]) -> str | None:
        if where not in self._known:
            self._known[where] = _hash(content)
        return self._known[where]


def read_past(root: Path, commit: str, blobs: dict[str, bytes] | None = None) -> Past | None:
    """The checkout at root at a commit; None where git does not know the commit. blobs: see CommitTree."""
    tree = CommitTree(root, commit, {} if blobs is None else blobs)
    if not commit or not all(c in "0123456789abcdef" for c in commit):
        return None
    try:
        places = sorted(tree.files)
        suites = {info.slug: info for place in places for info in _suite(tree, place)}
        methods = {
            (suite, written.card.slug): (module, written.name)
            for place in places
            for module, suite, written in _methods(tree, place)
        }
    except (OSError, subprocess.SubprocessError):
        return None
    return Past(Contents(tree), methods, suites)


def known_commits(root: Path, commits: Iterable[str]) -> frozenset[str]:
    """Those that git knows in the checkout at root."""
    named = sorted({each for each in commits if each and all(c in "0123456789abcdef" for c in each)})
    return frozenset(each for each in named if git_or_none(root, "cat-file", "-e", f"{each}^{{commit}}") is not None)


def method_changed(registry: Registry, past: Past, listed: Listed) -> bool:
    """Whether a method does something else now."""
    then = past.method_hash(listed.suite, listed.slug)
    return then is None or then != _hash(lambda: registry.content(listed))


def problem_changed(registry: Registry, past: Past, suite: str, problem: str) -> bool:
    """Whether a problem's code does something else now."""
    then, info = past.problem_hash(suite, problem), registry.suite(suite)
    return then is None or then != _hash(lambda: registry.problem_content(info.problems[problem]))


def settings_changed(registry: Registry, past: Past, suite: str, point: str, scale: str) -> bool:
    """Whether suite.toml says something else for runs at a point and scale; words do not count."""
    then, now = past.suites.get(suite), registry.suite(suite)
    return then is None or point not in then.points or settings_of(then, point, scale) != settings_of(now, point, scale)


def touched(registry: Registry, past: Past) -> dict[str, list[str]]:
    """Slugs of the methods whose runs would be others now, by suite: the method itself, a problem that it is for, or
    what suite.toml says of a point has changed. Of what lies in no checkout nothing is known."""
    found: dict[str, list[str]] = {}
    for slug, info in sorted(registry.suites.items()):
        problems = {name for name in info.problems if problem_changed(registry, past, slug, name)}
        points = {p for p in info.points for scale in SCALES if settings_changed(registry, past, slug, p, scale)}
        problems |= {info.points[point].problem for point in points}
        for name, listed in registry.methods_of(slug).items():
            if not listed.place.is_absolute() and (
                any(map(listed.is_for, problems)) or method_changed(registry, past, listed)
            ):
                found.setdefault(slug, []).append(name)
    return found


def _suite(tree: CommitTree, place: PurePosixPath) -> Iterator[SuiteInfo]:
    if place.parts[0] == "suites" and place.name == "suite.toml":
        try:
            yield read_suite(tree.read(place), place.parent, ".".join(place.parent.parts))
        except BadSuite:
            return  # of an older layout


def _methods(tree: CommitTree, place: PurePosixPath) -> Iterator[tuple[str, str, Written]]:
    """Dotted module, suite and what is written, of the methods in a file."""
    if place.parts[0] != "methods" or place.suffix != ".py" or any(part.startswith("_") for part in place.parts):
        return
    for written in _written(tree.read(place)):
        yield ".".join(place.with_suffix("").parts), written.card.suite or place.parts[1].replace("_", "-"), written


@cache
def _written(text: bytes) -> tuple[Written, ...]:
    try:
        return tuple(methods_written(text))
    except (SyntaxError, NotLiteral, ValueError, RecursionError):
        return ()


def _hash(content: Callable[[], Content]) -> str | None:
    """None where it can't be read."""
    try:
        return content().hash
    except (LookupError, SyntaxError):
        return None
