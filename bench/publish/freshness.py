"""Is a record of today's code? What changed since it was measured, as far as the record and the checkout can tell.

A record's key is the hash of all of its inputs, but only the machine that measured can compute today's: it holds the
hardware and the libraries. The record also names the commit and the hyper-parameters, and these can be held against
what is registered now, on any machine. Files count as in the key: better words are no change.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contract import Method
from bench.contract.registry import Registry, configured, hyperparameters, suite_files
from bench.contract.sources import imported
from bench.contract.suite import at_scale
from bench.record.changes import changed_since
from bench.record.git import git_or_none
from bench.record.schema import Record

INSTRUMENTS = "bench/measure/__init__.py"
"""Holds the version of the instruments and nothing else."""


@dataclass(frozen=True)
class Age:
    """stale: what is not today's, empty if nothing is known to differ. unknown: why the code can't be compared."""

    stale: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Freshness:
    """Tells the age of records. changed: by commit, the paths that do something else in the checkout at `root` now;
    None where it does not know the commit. files: by "method <slug>" and "suite <slug>", paths below root; None where
    one lies elsewhere. settings: by commit and suite, its suite.toml as it was, where it is another now.
    """

    registry: Registry
    root: Path
    changed: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    files: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    settings: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def of(self, record: Record) -> Age:
        """The age of a record."""
        method, suite = self.registry.methods.get(record.method), self.registry.suites.get(record.suite)
        if method is None or suite is None:
            return Age((f"the {'suite' if suite is None else 'method'} is no longer registered",))
        found = []
        if record.suite_version != suite.info.version:
            found.append(f"the suite has version {suite.info.version}, it had {record.suite_version}")
        found += self._hyperparameters(record)
        commit = record.environment.commit
        if commit is None or record.environment.dirty:
            return Age(tuple(found), "it was measured with uncommitted changes" if commit else "it names no commit")
        changed = self.changed.get(commit)
        mine, its = self.files.get(f"method {record.method}"), self.files.get(f"suite {record.suite}")
        if changed is None or mine is None or its is None:
            return Age(tuple(found), "its commit, or the source, is not in the checkout that built this page")
        if changed & mine:
            found.append("the method's code changed")
        if changed & its or self._settings(record, suite.info.folder):
            found.append("the suite's code or settings changed")
        if INSTRUMENTS in changed:
            found.append("the instruments changed")
        return Age(tuple(found))

    def identity(self, commits: Iterable[str], suite: str, methods: Iterable[str]) -> list[Any]:
        """What the ages of these records depend on, but for the records: equal if nothing else would be said."""
        methods = sorted(methods)
        named = [self.files.get(f"method {slug}") for slug in methods] + [self.files.get(f"suite {suite}")]
        mine = frozenset[str]().union(*(files or () for files in named)) | {INSTRUMENTS}
        hidden = [files is None for files in named]
        by_commit = [
            (commit, None if changed is None else sorted(changed & mine), self.settings.get((commit, suite)))
            for commit in sorted(self.changed.keys() & set(commits)) for changed in [self.changed[commit]]
        ]  # fmt: skip
        return [by_commit, hidden, [self._all_fields(slug) for slug in methods]]

    def _hyperparameters(self, record: Record) -> list[str]:
        method = self.registry.methods[record.method]
        if record.variant not in method.variants:
            return ["the variant is no longer there"]
        if not record.hyperparameters:
            return []
        today, then = _fields(method, record.variant, record.point), _plain(record.hyperparameters)
        names = sorted(name for name in today.keys() | then.keys() if today.get(name) != then.get(name))
        return [f"hyper-parameters changed: {', '.join(names)}"] if names else []

    def _all_fields(self, slug: str) -> list[Any]:
        method = self.registry.methods.get(slug)
        if method is None:
            return []
        points = (None, *method.at_point)
        return [[variant, at, _fields(method, variant, at)] for variant in method.variants for at in points]

    def _settings(self, record: Record, folder: Path) -> bool:
        """Whether what a run reads of suite.toml is another now; titles and texts are not."""
        old = self.settings.get((record.environment.commit or "", record.suite))
        return old is not None and _inputs(old, record) != _inputs(_toml((folder / "suite.toml").read_bytes()), record)


def read_freshness(registry: Registry, commits: Iterable[str], root: Path) -> Freshness:
    """Ask the checkout at root what changed since these commits; outside a checkout all is unknown."""
    files = {f"method {slug}": _below(root, imported([method.__module__])) for slug, method in registry.methods.items()}
    folders = {slug: suite.info.folder for slug, suite in registry.suites.items() if _is_suite(suite.info.folder)}
    files |= {f"suite {slug}": _below(root, suite_files(registry.suites[slug])) for slug in folders}
    settings: dict[tuple[str, str], Mapping[str, Any]] = {}
    among = {path.split("/")[0] for paths in files.values() for path in paths or ()} | {INSTRUMENTS}
    changed = {commit: changed_since(root, commit, *sorted(among)) for commit in sorted(set(commits) - {""})}
    for commit, paths in changed.items():
        for slug, folder in folders.items():
            (place,) = _below(root, {folder / "suite.toml"}) or {""}
            if place in (paths or ()):
                settings[commit, slug] = _toml(git_or_none(root, "show", f"{commit}:{place}") or b"")
    return Freshness(registry, root, changed, files, settings)


def _is_suite(folder: Path) -> bool:
    return (folder / "suite.toml").is_file()


def _below(root: Path, paths: Iterable[Path]) -> frozenset[str] | None:
    found = [path.resolve() for path in paths]
    if not all(path.is_relative_to(root.resolve()) for path in found):
        return None
    return frozenset(path.relative_to(root.resolve()).as_posix() for path in found)


def _inputs(suite: Mapping[str, Any], record: Record) -> list[Any]:
    point = {name: value for name, value in suite.get("points", {}).get(record.point, {}).items() if name != "title"}
    by_scale = [suite.get(name, {}).get(record.scale) for name in ("timing", "allowances")]
    return [suite.get("baseline"), at_scale(suite.get("settings", {}), record.scale), by_scale, point]


def _toml(text: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}


def _fields(method: type[Method[Any]], variant: str, point: str | None) -> dict[str, Any]:
    """The hyper-parameters of a variant at a point today, as a record holds them."""
    return _plain(hyperparameters(configured(method, variant, point)))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), default=str))
    return plain
