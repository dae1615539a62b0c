"""What a record says, in values with intervals: quality by score, cost by name. Computed on reading, never stored."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from bench.analyse.rows import Row
from bench.measure.statistics import (
    MIN_SEEDS,
    Estimate,
    mean_estimate,
    mean_with_spread,
    median_estimate,
    percentile_interval,
    pooled_estimate,
    ratio_interval,
)
from bench.record.schema import Record, Samples, Throughput, Timing
from bench.registry.metrics import Metric

Kind = Literal["measured", "exact", "not realised", "missing"]


@dataclass(frozen=True)
class Cost:
    """One cost. n counts the samples behind it. The interval of a single measurement is infinitely wide.

    measured: with an instrument, differs from run to run. exact: counted or weighed, the same on every machine.
    not realised: measured, but the method has no kernel here that saves, so the figure says nothing about its idea.
    missing: value is None and low and high are infinite.
    """

    value: float | None
    low: float
    high: float
    n: int
    unit: str
    kind: Kind


TIME_UP = "not begun: the time was up"
"""How the reason of a batch begins that the clock kept from being tried."""

MISSING = Cost(None, -math.inf, math.inf, 0, "", "missing")


def quality(record: Record) -> dict[str, Estimate]:
    """Every score of the record, by name."""
    return {name: mean_estimate(s.samples, s.weights, s.aggregate) for name, s in record.quality.items()}


def costs(record: Record) -> dict[str, Cost]:
    """Every cost of the record, by name.

    A figure stands under its own name; what the build took under `build.<name>`; `memory.<name>` in bytes; for
    each timed phase `<workload>.<phase>` (median seconds per sample), `.p90` and `.p99` where there are samples enough,
    `.ratio` (to the baseline, run next to it), `.per_second` (units of work per second at the median) and `.device`
    (median by the device's clock). At the best batch of each workload `<workload>.throughput.per_second`, `.ratio` and
    `.batch`; `<workload>.energy` (joules per unit of work) and its `.ratio`.
    """
    found = {name: Cost(value, value, value, 1, unit_of(name), "exact") for name, value in record.figures.items()}
    if record.build is not None and not math.isnan(record.build.seconds):  # else it ran elsewhere
        found["build.seconds"] = _single(record.build.seconds, "s")
        if record.build.processor_seconds is not None:
            found["build.processor_seconds"] = _single(record.build.processor_seconds, "s")
        found["build.peak_memory_bytes"] = _single(record.build.peak_memory_bytes, "B")
    for name, value in record.memory.items():
        found[f"memory.{name}"] = _single(value, "B")
    for workload, phases in record.timings.items():
        for phase, timing in phases.items():
            found |= _times(f"{workload}.{phase}", timing)
    for workload, best in record.throughput.items():
        if not uneven(best):
            found |= _throughput(f"{workload}.throughput", best)
    for workload, energy in record.energy.items():
        found |= _paired(f"{workload}.energy", energy.candidate, energy.baseline, f"J/{energy.unit}", "measured")
    return found


def uneven(best: Throughput) -> str:
    """Why the best batches of the two sides can't be set beside each other; "" if they can.

    A search that the clock has ended says nothing of larger batches; so it stands beside one that ended no later.
    """
    for name, side, other in (
        ("candidate", best.candidate_tried, best.baseline_tried),
        ("baseline", best.baseline_tried, best.candidate_tried),
    ):
        ended = min((batch.batch for batch in side if (batch.reason or "").startswith(TIME_UP)), default=math.inf)
        larger = [batch.batch for batch in other if batch.per_second is not None and batch.batch >= ended]
        if larger:
            return f"the {name} had no time left to try a batch of {ended}; the other side tried {max(larger)}"
    return ""


def some_figures(record: Record, names: Collection[str]) -> dict[str, Cost]:
    """The scores and costs of the record that have these names, without the work for the others."""
    workloads = {name.split(".", 1)[0] for name in names}
    part = record.model_copy(
        update={
            "quality": {name: samples for name, samples in record.quality.items() if name in names},
            "timings": {w: _phases(w, phases, names) for w, phases in record.timings.items() if w in workloads},
            "throughput": {w: best for w, best in record.throughput.items() if w in workloads},
            "energy": {w: energy for w, energy in record.energy.items() if w in workloads},
        }
    )
    scores, found = quality(part), costs(part)
    return {name: lookup(scores, found, name) for name in names if name in scores or name in found}


@lru_cache(maxsize=4096)
def row_quality(row: Row) -> Mapping[str, Estimate]:
    """Every score of the row's successful seeds taken together: item by item, or, where seeds differ in their number of
    items, as the mean of what each seed scored. No seed is left out."""
    names = dict.fromkeys(name for record in row.ok for name in record.quality)
    return {name: _pooled(row.scores(name)[0]) for name in names}


def ragged(row: Row) -> list[str]:
    """Scores whose seeds differ in their number of items."""
    names = dict.fromkeys(name for record in row.ok for name in record.quality)
    return [name for name in names if len({len(each.samples) for each in row.scores(name)[0]}) > 1]


def figure(row: Row, metric: Metric) -> Cost:
    """A score or a cost of the row, its interval within the metric's bounds."""
    return within(lookup(row_quality(row), row_costs(row), metric.name), metric.bounds)


def within(found: Cost, bounds: tuple[float, float]) -> Cost:
    """The figure with an interval that leaves no bound. Between two bounds it is Wilson's (1927) for as many items as
    would have this error, which no share can leave (Korn and Graubard, 1998); at a single bound it ends. An estimate
    that is corrected for its bias may fall beyond a bound: while its interval reaches back, it is the bound. Else a
    value that lies beyond stays as it is: `beyond` tells of it."""
    least, most = bounds
    if found.value is None:
        return found
    if beyond(found, bounds):
        if not (math.isfinite(found.high - found.low) and found.low < most and found.high > least):
            return found
        value = min(max(found.value, least), most)
        return replace(found, value=value, low=max(found.low, least), high=min(found.high, most))
    low, high = found.low, found.high
    width = most - least
    if math.isfinite(width) and math.isfinite(low) and math.isfinite(high) and (low < least or high > most):
        share = (found.value - least) / width
        low = least + width * _wilson_end(share, (low - found.value) / width)
        high = least + width * _wilson_end(share, (high - found.value) / width)
    return replace(found, low=max(low, least), high=min(high, most))


def beyond(found: Cost, bounds: tuple[float, float]) -> bool:
    """Whether the value lies beyond a bound, by more than rounding."""
    least, most = bounds
    slack = 1e-9 * max([1.0, *(abs(end) for end in bounds if math.isfinite(end))])
    return found.value is not None and not least - slack <= found.value <= most + slack


@lru_cache(maxsize=4096)
def row_costs(row: Row) -> Mapping[str, Cost]:
    """Every cost of the row's successful seeds taken together: the mean over the seeds."""
    return pool([costs(record) for record in row.ok])


def lookup(scores: Mapping[str, Estimate], found: Mapping[str, Cost], name: str) -> Cost:
    """A score or a cost by its name, as a cost: some costs (iterations, say) are counted where quality is scored."""
    if name in found:
        return found[name]
    if name in scores:
        estimate = scores[name]
        return Cost(estimate.value, estimate.low, estimate.high, estimate.n, "", "measured")
    return MISSING


def pool(seeds: Sequence[Mapping[str, Cost]]) -> dict[str, Cost]:
    """Mean of each cost over the seeds; from MIN_SEEDS on, the interval holds the spread between them."""
    names = dict.fromkeys(name for seed in seeds for name in seed)
    return {name: _pool([seed[name] for seed in seeds if name in seed]) for name in names}


def unit_of(name: str) -> str:
    """The unit that a figure's name tells; "" if it tells none."""
    for ending, unit in (("_bytes", "B"), ("bytes", "B"), ("seconds", "s"), ("ratio", "×")):
        if name.endswith(ending):
            return unit
    return ""


def _pooled(seeds: Sequence[Samples]) -> Estimate:
    if len({len(each.samples) for each in seeds}) == 1:
        return pooled_estimate(seeds)
    if seeds[0].aggregate == "max":
        return max((mean_estimate(s.samples, s.weights, "max") for s in seeds), key=lambda estimate: estimate.value)
    each = [mean_estimate(seed.samples, seed.weights) for seed in seeds]  # of "exp_mean" the logarithms
    value = math.fsum(estimate.value for estimate in each) / len(each)
    around = mean_with_spread([estimate.value for estimate in each])
    spread = around.high - around.value if len(each) >= MIN_SEEDS else 0.0
    below = math.hypot(spread, *((estimate.value - estimate.low) / len(each) for estimate in each))
    above = math.hypot(spread, *((estimate.high - estimate.value) / len(each) for estimate in each))
    ends = value, value - below, value + above
    if seeds[0].aggregate == "exp_mean":
        ends = (math.exp(min(ends[0], 700.0)), math.exp(min(ends[1], 700.0)), math.exp(min(ends[2], 700.0)))
    return Estimate(*ends, None, sum(estimate.n for estimate in each))


def _wilson_end(share: float, distance: float) -> float:
    """The end of Wilson's interval around a share, in place of one that lies so far from it."""
    free = share * (1 - share)
    if not free or not distance:
        return share + distance
    k = distance**2 / free  # squared quantile by the number of items
    half = math.copysign(math.sqrt(k * free + k * k / 4), distance)
    return (share + k / 2 + half) / (1 + k)


def _pool(found: list[Cost]) -> Cost:
    if len(found) == 1:
        return found[0]
    values = [cost.value for cost in found if cost.value is not None]
    value = math.fsum(values) / len(values)
    spread = mean_with_spread(values)
    below = math.hypot(*(value_of(cost) - cost.low for cost in found)) / len(found)
    above = math.hypot(*(cost.high - value_of(cost) for cost in found)) / len(found)
    if len(values) >= MIN_SEEDS:
        # single measurements have no interval of their own: the spread between seeds is all that is known
        below = math.hypot(below if math.isfinite(below) else 0, spread.value - spread.low)
        above = math.hypot(above if math.isfinite(above) else 0, spread.high - spread.value)
    elif found[0].kind == "exact" and len(set(values)) > 1:
        below = above = math.inf  # exact for each seed, but two seeds do not tell how seeds differ
    kind: Kind = "not realised" if any(cost.kind == "not realised" for cost in found) else found[0].kind
    low = value - below
    if all(cost.low >= 0 for cost in found) or found[0].unit in ("s", "B"):
        low = max(0.0, low)
    return Cost(value, low, value + above, sum(cost.n for cost in found), found[0].unit, kind)


def value_of(cost: Cost) -> float:
    """The value, not-a-number where it is missing."""
    return math.nan if cost.value is None else cost.value


def _single(value: float, unit: str) -> Cost:
    return Cost(value, 0.0, math.inf, 1, unit, "measured")


def _phases(workload: str, phases: Mapping[str, Timing], names: Collection[str]) -> dict[str, Timing]:
    return {
        phase: timing for phase, timing in phases.items() if any(n.startswith(f"{workload}.{phase}") for n in names)
    }


def _times(name: str, timing: Timing) -> dict[str, Cost]:
    kind: Kind = "measured" if timing.realised else "not realised"
    found = _paired(name, timing.candidate, timing.baseline, "s", kind)
    if not found:
        return {}
    seconds = found[name]
    for q, label in ((0.9, "p90"), (0.99, "p99")):
        tail = percentile_interval(timing.candidate, q)
        if tail is not None:
            found[f"{name}.{label}"] = Cost(tail.value, max(0.0, tail.low), tail.high, tail.n, "s", kind)
    found |= _per_second(f"{name}.per_second", seconds, timing.units, timing.unit)
    if timing.device_candidate:
        found[f"{name}.device"] = _median(timing.device_candidate, "s", kind)
    return found


def _throughput(name: str, best: Throughput) -> dict[str, Cost]:
    found = _paired(name, best.candidate, best.baseline, "s", "measured")
    if not found:
        return {}
    per_unit = found.pop(name)
    batch = float(best.candidate_batch)
    found |= _per_second(f"{name}.per_second", per_unit, 1.0, best.unit)
    return found | {f"{name}.batch": Cost(batch, batch, batch, 1, "", "exact")}


def _paired(name: str, candidate: Sequence[float], baseline: Sequence[float], unit: str, kind: Kind) -> dict[str, Cost]:
    """The median under the name itself, and the ratio to the baseline where both have samples in pairs."""
    if not candidate:
        return {}
    found = {name: _median(candidate, unit, kind)}
    if len(baseline) == len(candidate) and min(*candidate, *baseline) > 0:
        ratio = ratio_interval(candidate, baseline)
        found[f"{name}.ratio"] = Cost(ratio.value, ratio.low, ratio.high, ratio.n, "×", kind)
    return found


def _median(samples: Sequence[float], unit: str, kind: Kind) -> Cost:
    median = median_estimate(samples)
    return Cost(median.value, max(0.0, median.low), median.high, len(samples), unit, kind)


def _per_second(name: str, seconds: Cost, units: float, unit: str) -> dict[str, Cost]:
    value = value_of(seconds)
    if not value > 0:
        return {}
    low, high = units / seconds.high, units / seconds.low if seconds.low > 0 else math.inf
    return {name: replace(seconds, value=units / value, low=low, high=high, unit=f"{unit}/s")}
