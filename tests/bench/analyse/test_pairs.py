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
from bench.analyse.rows import Row, make_rows
from bench.contract import Metric
from bench.record.schema import Samples
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


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_each_pair_is_what_it_is_alone(seed: int) -> None:
    rows = board(seed)
    for metric in METRICS:
        pairs = pairwise(rows, metric)
        for i, row in enumerate(rows):
            for j, other in enumerate(rows):
                alone = improvement(row, other, metric)
                together = (pairs.value[i, j], pairs.low[i, j], pairs.high[i, j])
                if alone is None:
                    assert not pairs.comparable[i, j]
                else:
                    value = (
                        alone.value if math.isfinite(alone.value) else together[0]
                    )  # infinite alone, perhaps no number
                    expected = (value, alone.low, alone.high)
                    assert not math.isfinite(together[0]) or value == alone.value
                    assert together == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), (metric, row, other)


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
