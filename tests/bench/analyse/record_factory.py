"""Records with synthetic numbers, for the tests of what reads records."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.contract import Limits, OperatingPoint
from bench.record.schema import Build, Environment, Record, Samples, Timing
from bench.registry import ProblemInfo, SuiteInfo
from bench.registry.metrics import Metric

START = datetime(2025, 1, 1, tzinfo=UTC)

ENVIRONMENT = Environment(
    hardware="cpu-test", cpu="Test CPU", cores=2, threads=1, memory_bytes=2**33, platform="Linux", python="3.11",
    versions={"torch": "2.13"}, commit="abc1234", dirty=False,
)  # fmt: skip


def make_record(
    method: str = "alpha",
    *,
    losses: Sequence[float] | None = None,
    right: Sequence[float] | None = None,
    candidate: Sequence[float] = (),
    baseline: Sequence[float] = (),
    age: int = 0,
    **changes: Any,
) -> Record:
    """A record of a language-model-like suite: losses give `perplexity`, right (0/1) gives `accuracy`."""
    quality: dict[str, Samples] = {}
    if losses is not None:
        quality["perplexity"] = Samples(samples=list(losses), weights=[1.0] * len(losses), aggregate="exp_mean")
    if right is not None:
        quality["accuracy"] = Samples(samples=list(right))
    timings = {}
    if candidate:
        timing = Timing(candidate=list(candidate), baseline=list(baseline), units=64, unit="token", converged=True)
        timings = {"decode": {"tpot": timing}}
    environment = ENVIRONMENT.model_copy(update={"hardware": changes.get("hardware", ENVIRONMENT.hardware)})
    values: dict[str, Any] = {
        "id": f"{method}-{changes.get('variant', '')}-{changes.get('point', '')}-{changes.get('seed', 0)}-{age}",
        "key": "key", "suite": "demo", "suite_version": "1", "method": method, "variant": "default", "point": "half",
        "scale": "tiny", "base": "toy", "seed": 0, "hardware": "cpu-test", "status": "ok", "quality": quality,
        "figures": {"stored_ratio": 0.5}, "timings": timings, "memory": {"peak": 1e9},
        "build": Build(seconds=2.0, peak_memory_bytes=1e8), "environment": environment,
        "started": START - timedelta(days=age), "seconds": 5.0, "command": f"effbench run --method {method}",
    }  # fmt: skip
    return Record(**(values | changes))


SCORES = (Metric("perplexity", "Perplexity", primary=True), Metric("accuracy", "Accuracy", better="higher"))
COSTS = (
    Metric("stored_ratio", "Stored size", "× dense", primary=True, goal="smaller"),
    Metric("decode.tpot.ratio", "Time per token", "× dense", primary=True),
    Metric("memory.peak", "Peak memory", "B"),
)


def make_problem(
    name: str, scores: Sequence[Metric] = SCORES, costs: Sequence[Metric] = COSTS, suite: str = "demo", **changes: Any
) -> ProblemInfo:
    """A problem in the module suites.<suite>.<name>; the first score is the primary one."""
    values: dict[str, Any] = {
        "name": name, "title": name.title(), "summary": "", "module": f"suites.{suite.replace('-', '_')}.{name}",
        "baseline": "dense", "settings": {}, "scores": {each.name: each for each in scores},
        "costs": {each.name: each for each in costs}, "workloads": {}, "primary": scores[0],
    }  # fmt: skip
    return ProblemInfo(**(values | changes))


def make_info(**changes: Any) -> SuiteInfo:
    """A suite with two points of one problem and a third of another."""
    points = {
        "half": OperatingPoint(
            "half", "Half the bytes", "main", Limits(result={"stored_ratio": 0.5}, build_seconds=60)
        ),
        "all": OperatingPoint("all", "No limit", "main", Limits()),
        "other": OperatingPoint("other", "Another problem", "other", Limits()),
    }
    values: Mapping[str, Any] = {
        "slug": "demo", "area": "language", "version": "1", "title": "Demo suite", "summary": "A suite for tests.",
        "baseline": "dense", "points": points,
        "problems": {name: make_problem(name, suite=changes.get("slug", "demo")) for name in ("main", "other")},
        "bases": {"tiny": ["toy"]}, "timing": {"tiny": {"seconds": 1.0}}, "timeout": {},
        "notice": "The baseline is a toy.",
    }  # fmt: skip
    return SuiteInfo(**{**values, **changes})
