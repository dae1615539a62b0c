"""All pairs at once say what each pair says alone; the frontier in one sweep is the frontier."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analyse.compare import improvement
from bench.analyse.frontier import pareto
from bench.analyse.pairs import pairwise
from bench.analyse.rows import Row, common_seeds, make_rows
from bench.analyse.summary import Cost, row_costs
from bench.measure.statistics import MIN_SEEDS, pooled_difference
from bench.record.schema import Samples
from bench.registry.metrics import Metric
from tests.bench.analyse.record_factory import make_info, make_record

INFO = make_info()
METRICS = [
    *INFO.scores.values(),
    *INFO.costs.values(),
    Metric("worst", "Worst"),
    Metric("mean", "Mean", better="higher"),
    Metric("decode.tpot", "Time"),
    Metric("decode.tpot.per_second", "Speed", better="higher"),
    Metric("build.seconds", "Build"),
    Metric("signed", "A figure of either sign"),
    Metric("nowhere", "What nobody has"),
]


def board(seed: int) -> list[Row]:
    """Rows of every kind: with one seed, three, four and three others, other items, no times, few times, figures of
    zero, failures."""
    rng = np.random.default_rng(seed)
    records = []
    for number in range(7):
        n = 40 if number != 4 else 30
        figures = {"stored_ratio": float(rng.choice([0.0, 0.5, rng.uniform(0.1, 1)])), "signed": float(rng.normal())}
        values: dict[str, Any] = {"figures": figures}
        if number != 2:
            pairs = 20 if number != 3 else 4
            values["baseline"] = (base := rng.uniform(0.9, 1.1, pairs)).tolist()
            values["candidate"] = (base * rng.uniform(0.4, 1.2)).tolist()
        for s in {1: range(3), 3: range(4), 5: range(1, 4), 6: range(1, 2)}.get(number, range(1)):
            losses = rng.normal(3 + 0.1 * number, 0.3, n)
            if seed % 5 == 0 and number == 5:
                losses[0] = [math.inf, math.nan, -math.inf][seed % 3]
            record = make_record(
                f"m{number}",
                seed=s,
                losses=losses.tolist(),
                right=(rng.random(n) < 0.6).astype(float).tolist(),
                **values,
            )
            more = {
                "worst": Samples(samples=losses.tolist(), aggregate="max"),
                "mean": Samples(samples=(losses - 3).tolist()),
            }
            records.append(record.model_copy(update={"quality": {**record.quality, **more}}))
    records.append(make_record("gone", status="failed", reason="x"))
    return make_rows(records)


def plain(row: Row, other: Row, metric: Metric) -> tuple[float, float, float] | None:
    """One pair, by the statistics of a pair, without arrays."""
    if any(metric.name in record.quality for record in row.ok):
        change = _of_scores(row, other, metric.name)
    else:
        change = _of_costs(*_costs_to_compare(row, other, metric.name))
    if change is None or metric.better == "higher":
        return change
    return -change[0], -change[2], -change[1]


def _of_scores(row: Row, other: Row, name: str) -> tuple[float, float, float] | None:
    left, seeds = row.scores(name)
    right, other_seeds = other.scores(name)
    if not left or not right:
        return None
    common = common_seeds(seeds, other_seeds)
    if common is not None:
        left = [samples for samples, seed in zip(left, seeds, strict=True) if seed in common]
        right = [samples for samples, seed in zip(right, other_seeds, strict=True) if seed in common]
    try:
        change = pooled_difference(left, right, same_seeds=common is not None)
    except ValueError:  # other items
        return None
    if left[0].aggregate == "exp_mean":
        return change.value, change.low, change.high
    levels = [math.fsum(s.samples) / math.fsum(s.weights or [1.0] * len(s.samples)) for s in right]
    level = max(max(s.samples) for s in right) if right[0].aggregate == "max" else math.fsum(levels) / len(levels)
    scale = abs(level) or abs(change.value) or 1.0
    return change.value / scale, change.low / scale, change.high / scale


def _of_costs(cost: Cost | None, other: Cost | None) -> tuple[float, float, float] | None:
    if cost is None or other is None or cost.value is None or other.value is None:
        return None
    scale = 1.0 if cost.value > 0 and other.value > 0 else abs(other.value) or abs(cost.value) or 1.0
    log = (lambda x: math.log(x) if x > 0 else -math.inf) if cost.value > 0 and other.value > 0 else (lambda x: x)
    value = log(cost.value) - log(other.value)
    low = value - math.hypot(log(cost.value) - log(cost.low), log(other.high) - log(other.value))
    high = value + math.hypot(log(cost.high) - log(cost.value), log(other.value) - log(other.low))
    if cost.value > 0 and other.value > 0:
        value, low, high = (math.expm1(x) if x < 700 else math.inf for x in (value, low, high))
    return value / scale, low / scale, high / scale


def _costs_to_compare(row: Row, other: Row, name: str) -> tuple[Cost | None, Cost | None]:
    left, right = row_costs(row), row_costs(other)
    paired, timed = f"{name}.ratio", name.removesuffix(".per_second")
    if paired in left and paired in right:
        return left[paired], right[paired]
    if timed != name and f"{timed}.ratio" in left and f"{timed}.ratio" in right:
        return right[f"{timed}.ratio"], left[f"{timed}.ratio"]
    return left.get(name), right.get(name)


def lost_in_every_seed(row: Row, other: Row, metric: Metric) -> bool:
    """Whether all seeds of one, which has some, score beyond all of the other."""
    mine, theirs = (
        [math.fsum(s.samples) / math.fsum(s.weights or [1.0] * len(s.samples)) for s in each.scores(metric.name)[0]]
        for each in (row, other)
    )
    enough = max(len(mine), len(theirs)) >= MIN_SEEDS
    return enough and (min(mine) > max(theirs) or max(mine) < min(theirs))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_each_pair_is_what_it_is_alone(seed: int) -> None:
    rows = board(seed)
    for metric in METRICS:
        pairs = pairwise(rows, metric)
        for i, row in enumerate(rows):
            for j, other in enumerate(rows):
                alone = plain(row, other, metric)
                together = (pairs.value[i, j], pairs.low[i, j], pairs.high[i, j])
                if alone is None:
                    assert not pairs.comparable[i, j]
                    assert improvement(row, other, metric) is None
                    continue
                value = alone[0] if math.isfinite(alone[0]) else together[0]  # infinite alone, perhaps no number
                assert not math.isfinite(together[0]) or value == alone[0]
                expected = pytest.approx((value, *alone[1:]), rel=1e-9, abs=1e-12, nan_ok=True)
                of_two = improvement(row, other, metric)
                assert (of_two is not None) == pairs.comparable[i, j]
                if of_two is not None and lost_in_every_seed(row, other, metric):
                    assert alone[1] - 1e-9 <= of_two.low <= of_two.high <= alone[2] + 1e-9
                    expected = pytest.approx((of_two.value, of_two.low, of_two.high), rel=1e-9, abs=1e-12)
                assert together == expected, (metric, row, other)
                assert of_two is None or (of_two.value, of_two.low, of_two.high) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 2.0, 3.5, math.inf, math.nan]), st.sampled_from([0.0, 1.0, 2.0, math.inf]))
    ),
    st.sampled_from(["lower", "higher"]),
    st.sampled_from(["lower", "higher"]),
)
def test_the_frontier_is_what_nothing_else_dominates(points: list[tuple[float, float]], cost: str, value: str) -> None:
    signs = [1 if better == "lower" else -1 for better in (cost, value)]
    signed = [(a * signs[0], b * signs[1]) for a, b in points]

    def dominated(p: tuple[float, float]) -> bool:
        return any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in signed)

    expected = [not math.isnan(p[0]) and not dominated(p) for p in signed]
    assert pareto(points, cost, value) == expected
