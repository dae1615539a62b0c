"""The words of the site: what each score and cost is, the scales, the statuses, and what each hardware class stands
for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.registry import SuiteInfo
from bench.registry.metrics import Metric

STATUSES = {
    "ok": "Built within its budget and measured.",
    "over budget": "A limit of the operating point was passed.",
    "failed": "It stopped with an error.",
    "timeout": "It was stopped: it took longer than the suite allows.",
    "out of memory": "The machine's memory did not suffice.",
    "unsupported": "The method cannot be run there, for the reason that it gives.",
}  # fmt: skip
SCALE_WORDS = {
    "tiny": "Toy weights, seconds a run. It shows that everything runs; its numbers say nothing of a method.",
    "embedded": "Real weights and data that install as packages, or data by a stated generator. A minute or two a run "
    "on a processor. The default.",
    "full": "Models and data of the hub, on a GPU.",
}  # fmt: skip


@dataclass(frozen=True)
class Hardware:
    """A hardware class. processors: what ran in it, by name. suites: that have records of it. rows: results."""

    name: str
    processors: Sequence[str]
    suites: Sequence[str]
    rows: int


def explain(metric: Metric) -> str:
    """What a score or cost is, in a sentence, and which way is better."""
    better = f"{metric.better.capitalize()} is better."
    unit = f" In {metric.unit}." if metric.unit and not metric.about else ""
    return f"{metric.title}. {metric.about}{unit} {better}".replace("  ", " ").replace(".. ", ". ")


def terms(info: SuiteInfo) -> Iterator[tuple[str, Metric]]:
    """The scores and costs of a suite, each once, with what kind it is; of costs the main ones: what hangs on a
    workload's percentiles and devices follows the same pattern."""
    for metric in info.scores.values():
        yield "primary score" if metric.primary else "score", metric
    for metric in info.costs.values():
        if metric.primary or "." not in metric.name:
            yield "primary cost" if metric.primary else "cost", metric


def hardware(sections: Sequence[Mapping[str, Any]]) -> list[Hardware]:
    """Every class that there are records of."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for section in sections:
        found.setdefault(section["hardware"], []).append(section)
    return [
        Hardware(
            name,
            sorted({section["processor"] for section in theirs if section["processor"]}),
            sorted({section["suite"] for section in theirs}),
            sum(section["rows"] for section in theirs),
        )
        for name, theirs in sorted(found.items())
    ]
