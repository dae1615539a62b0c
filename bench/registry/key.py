"""The key of a record: a hash of everything that goes into a run, words about it apart. With another key it is stale.

It is computed from what stands in a record (where it ran, with which versions) and what is registered now, so that any
machine can tell of any record whether it is today's.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.record.environment import LIBRARIES
from bench.record.schema import Record
from bench.registry.registry import Registry
from bench.registry.suites import ProblemInfo, SuiteInfo, at_scale

SCHEMA = 1
"""Of what a key holds."""

_PLACE = re.compile(r" at 0x[0-9a-f]+")
_DEEPEST = 20
_LARGEST = 1 << 63
"""Larger numbers are kept as text, as are those that are none: not every reader of JSON knows them."""


@dataclass(frozen=True)
class Run:
    """What tells a run from any other: which, where, with what. versions: of all libraries that were there."""

    suite: str
    method: str
    variant: str
    point: str
    scale: str
    base: str
    seed: int
    hardware: str
    threads: int
    versions: Mapping[str, str]


def key_of(registry: Registry, run: Run, instruments: int) -> str:
    """The key of a run by today's code. instruments: the version of bench.measure.

    Raises UnknownName, and what `Registry.content` raises.
    """
    suite, point = registry.suite(run.suite), registry.point(run.suite, run.point).name
    problem, method = suite.problem_of(point), registry.method(run.suite, run.method)
    libraries = {*LIBRARIES, *suite.libraries}
    inputs = {
        "schema": SCHEMA,
        "instruments": instruments,
        "problem": registry.problem_content(problem).hash,
        "method": registry.content(method).hash,
        "fields": method.settings(run.variant, run.point),
        **settings_of(suite, point, run.scale),
        "run": [run.suite, run.method, run.variant, run.point, run.scale, run.base, run.seed, run.threads],
        "hardware": run.hardware,
        "versions": {name: version for name, version in run.versions.items() if name in libraries},
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=repr).encode()).hexdigest()[:32]


def is_todays(registry: Registry, record: Record, instruments: int) -> bool:
    """Whether the code, settings and instruments that there are now would give a run like the record's its key."""
    try:
        return record.key == key_of(registry, run_of(record), instruments)
    except (LookupError, SyntaxError):
        return False


def settings_of(info: SuiteInfo, point: str, scale: str) -> dict[str, Any]:
    """What a key holds of suite.toml for runs at a point and scale."""
    problem, at = info.problem_of(point), info.points[point].at(scale)
    return {
        "suite": [info.version, at_scale(dict(problem.settings), scale), dict(info.timing[scale])],
        "baseline": problem.baseline,
        "limits": [at.limits.result, at.limits.build_seconds, at.limits.build_memory_bytes],
        "point": [at.limits.supplies, at.settings, at.clock],
    }


def run_of(record: Record) -> Run:
    """The run that a record is of."""
    environment = record.environment
    return Run(
        record.suite, record.method, record.variant, record.point, record.scale, record.base, record.seed,
        environment.hardware, environment.threads, environment.versions,
    )  # fmt: skip


def settings_as_stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters as a record holds them: what JSON knows, everything else as text; also not-a-number, which would
    be unlike itself. Raises ValueError, naming the field, for what is told by its place in memory or has no end."""
    found = {}
    for name, value in fields.items():
        try:
            found[name] = _stored(value)
        except ValueError as error:
            raise ValueError(f"field {name!r} can't be recorded: {error}; give it a plain value") from error
    return found


def _stored(value: Any, deep: int = 0) -> Any:
    if deep > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} times")
    if isinstance(value, Mapping):
        return {str(_stored(key, deep + 1)): _stored(each, deep + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_stored(each, deep + 1) for each in value]
    if value is None or (isinstance(value, int | float) and -_LARGEST < value < _LARGEST):
        return json.loads(json.dumps(value))
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, set | frozenset):  # in an order that is the same tomorrow
        text = f"{{{', '.join(sorted(map(repr, value)))}}}"
    else:
        text = "".join(value) if isinstance(value, str) else str(value)
    if not isinstance(value, str) and _PLACE.search(text):
        raise ValueError(f"{text} is another one in every process")
    return text.encode(errors="backslashreplace").decode()


def baseline_key(registry: Registry, info: SuiteInfo, problem: ProblemInfo, where: Sequence[Any]) -> str:
    """The name under which the artefact of a problem's baseline is kept: what it comes from, and where it was made."""
    method = registry.method(info.slug, problem.baseline)
    parts = [
        info.slug,
        info.version,
        problem.name,
        registry.problem_content(problem).hash,
        registry.content(method).hash,
        method.settings("default"),
        dict(problem.settings),
        *where,
    ]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()[:16]
    return f"{info.slug}-{problem.name}-{digest}"
