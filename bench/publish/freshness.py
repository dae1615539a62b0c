"""Is a record of today's code? Its key says so; where it is another, what changed is told as far as it can be.

A key is a hash of all that went into a run. What of it is another now is found out from the record's own fields and,
for the code, from the checkout as it was at the record's commit. Better words are no change, nor is another place.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import measure
from bench.contract import SCALES
from bench.record.git import git_or_none
from bench.record.schema import Record
from bench.registry import Listed, Registry
from bench.registry.fields import fields_of, known_fields
from bench.registry.key import key_of, run_of, settings_as_stored, settings_of
from bench.registry.past import (
    Past,
    known_commits,
    method_changed,
    problem_changed,
    read_past,
    settings_changed,
)

INSTRUMENTS = "bench/measure/__init__.py"
"""Holds the version of the instruments and nothing else."""
OTHER = "its code or settings changed"
"""Said where nothing closer can be."""


@dataclass(frozen=True)
class Age:
    """stale: what is not today's; empty for a record of today. unknown: why no more of that can be told."""

    stale: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Freshness:
    """Tells the age of records. root: the checkout that knows their commits. known: those that it knows."""

    registry: Registry
    root: Path
    known: frozenset[str] = frozenset()
    _pasts: dict[str, Past | None] = field(default_factory=dict)
    _blobs: dict[str, bytes] = field(default_factory=dict)
    _instruments: dict[str, int | None] = field(default_factory=dict)

    def of(self, record: Record) -> Age:
        """The age of a record."""
        info = self.registry.suites.get(record.suite)
        listed = self.registry.methods.get((record.suite, record.method))
        if info is None or listed is None:
            return Age((f"the {'suite' if info is None else 'method'} is no longer registered",))
        if record.variant not in listed.variants:
            return Age(("the variant is no longer there",))
        if record.point not in info.points:
            return Age(("the operating point is no longer there",))
        if record.key == self._key(record):
            return Age()
        found = [] if record.suite_version == info.version else [
            f"the suite has version {info.version}, it had {record.suite_version}"
        ]  # fmt: skip
        found += self._hyperparameters(record, listed)
        past, unknown = self._past(record)
        if past is not None:
            found += self._code(record, listed, past)
        return Age(tuple(found) or (OTHER,), unknown)

    def identity(self, commits: Iterable[str], suite: str, methods: Iterable[str]) -> list[Any]:
        """What the ages of these records depend on, but for the records: equal if nothing else would be said."""
        known = sorted(self.known & set(commits))
        return [measure.VERSION, known, self._suite(suite), [self._method(suite, slug) for slug in sorted(methods)]]

    def _key(self, record: Record) -> str | None:
        """Today's; None where the code can't be read."""
        try:
            return key_of(self.registry, run_of(record), measure.VERSION)
        except (LookupError, SyntaxError):
            return None

    def _suite(self, suite: str) -> list[Any]:
        info = self.registry.suites.get(suite)
        if info is None:
            return []
        contents = [_or_error(lambda of=of: self.registry.problem_content(of).hash) for of in info.problems.values()]
        scales = [scale for scale in SCALES if scale in info.timing]
        settings = [settings_of(info, point, scale) for point in info.points for scale in scales]
        return [info.version, contents, info.libraries, settings_as_stored({"settings": settings})]

    def _method(self, suite: str, slug: str) -> list[Any]:
        listed = self.registry.methods.get((suite, slug))
        if listed is None:
            return []
        content = _or_error(lambda: self.registry.content(listed).hash)
        return [slug, content, settings_as_stored({"variants": listed.variants, "at_point": listed.at_point})]

    def _hyperparameters(self, record: Record, listed: Listed) -> Iterator[str]:
        """Those that are others now, or came or went. Of a default that has to be computed nothing is known."""
        if not record.hyperparameters:
            return
        fields = fields_of(self.registry.tree, listed.module, listed.name)
        now = known_fields(self.registry.tree, listed, record.variant, record.point)
        then = settings_as_stored(record.hyperparameters)
        names = {each.name for each in fields} ^ then.keys()
        names |= {name for name in now.keys() & then.keys() if now[name] != then[name]}
        if names:
            yield f"hyper-parameters changed: {', '.join(sorted(names))}"

    def _past(self, record: Record) -> tuple[Past | None, str]:
        """The code that made the record, or why it can't be had."""
        commit = record.environment.commit
        if commit is None:
            return None, "it names no commit"
        if record.environment.dirty:
            return None, "it was measured with uncommitted changes"
        if commit not in self._pasts:
            self._pasts[commit] = read_past(self.root, commit, self._blobs) if commit in self.known else None
        past = self._pasts[commit]
        return past, "" if past else "its commit is not in the checkout that built this page"

    def _code(self, record: Record, listed: Listed, past: Past) -> Iterator[str]:
        problem = self.registry.suite(record.suite).problem_of(record.point).name
        if method_changed(self.registry, past, listed):
            yield "the method's code changed"
        if problem_changed(self.registry, past, record.suite, problem) or settings_changed(
            self.registry, past, record.suite, record.point, record.scale
        ):
            yield "the suite's code or settings changed"
        commit = record.environment.commit or ""
        if commit not in self._instruments:
            self._instruments[commit] = _instruments_at(self.root, commit)
        if self._instruments[commit] != measure.VERSION:
            yield "the instruments changed"


def read_freshness(registry: Registry, commits: Iterable[str], root: Path) -> Freshness:
    """commits: of the records. root: the checkout; outside of one nothing is said of what changed."""
    return Freshness(registry, root, known_commits(root, commits))


def _instruments_at(root: Path, commit: str) -> int | None:
    text = git_or_none(root, "show", f"{commit}:{INSTRUMENTS}")
    try:
        parts = ast.parse(text or b"").body
    except SyntaxError:
        return None
    values = [part.value for part in parts if isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant)]
    return next((value.value for value in values if isinstance(value.value, int)), None)


def _or_error(found: Any) -> str:
    try:
        return str(found())
    except (LookupError, SyntaxError) as error:
        return f"unreadable: {error}"
