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

_ENDINGS = (
    (".throughput.ratio", "Time for each unit of work divided by the baseline's, each side at its best batch: below 1 "
     "is faster."),
    (".throughput.per_second", "Units of work a second at the best batch within the memory limit."),
    (".throughput.batch", "The batch at which most was done in a second, within the memory limit."),
    (".energy.ratio", "Energy for each unit of work divided by the baseline's: below 1 is less."),
    (".energy", "Energy for each unit of work, read from the device's own meter."),
    (".ratio", "Its time divided by the baseline's, run in turn on the same processors: below 1 is faster."),
    (".p90", "90th percentile of the times; from 64 samples on."),
    (".p99", "99th percentile of the times; from 662 samples on."),
    (".per_second", "Units of work a second, at the median time."),
    (".device", "Median time by the device's own clock."),
)  # fmt: skip
_NAMES = {
    "stored_bytes": "Bytes of the result as it is written to disk, weighed the same way for everybody.",
    "stored_ratio": "Bytes on disk divided by the baseline's: 0.5 is half the size.",
    "shipped_bytes": "Bytes that have to be handed on beside the base model.",
    "shipped_ratio": "What has to be handed on beside the base model, as a share of the base's parameters.",
    "flops": "Floating-point operations that ran, two for a multiply-add, counted as they are executed.",
    "flops_ratio": "Floating-point operations that ran, divided by the baseline's.",
    "parameters": "Numbers that the model holds, however they are stored.",
    "build.seconds": "How long the method took to build its result.",
    "build.processor_seconds": "Processor time that building took, over all cores.",
    "build.peak_memory_bytes": "Most memory that building took, above the level before it.",
    "kv_bytes_per_token": "Memory that the cache of keys and values grows by with each token.",
    "training_memory": "Weights, gradients, activations and optimizer at the peak of a training step.",
    "training_memory_ratio": "Training memory divided by that of full fine-tuning.",
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
    said = _NAMES.get(metric.name) or next((text for end, text in _ENDINGS if metric.name.endswith(end)), "")
    if not said and metric.name.startswith("memory."):
        said = "Most memory that this part took."
    unit = f" In {metric.unit}." if metric.unit and not said else ""
    return f"{metric.title}. {said}{unit} {better}".replace("  ", " ").replace(".. ", ". ")


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
