"""Paired times against workloads of known cost, and the rules by which pairs are kept."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from bench.contract import Step, Workload
from bench.measure.paired import time_pair


def sleeper(seconds: float, rng: np.random.Generator) -> Iterator[Step]:
    for _ in range(12):
        yield Step("sleep", lambda: time.sleep(seconds), units=2.0)


def test_time_pair_finds_a_known_ratio() -> None:
    times = time_pair(
        Workload("sleep", sleeper, max_trials=1),
        0.004,
        0.002,
        seconds=10,
        half_width=1e-6,
        rng=np.random.default_rng(0),
    )["sleep"]
    assert len(times.candidate) == len(times.baseline) == 12 - times.warm_up - times.dropped
    assert np.median(times.candidate) / np.median(times.baseline) == pytest.approx(2.0, rel=0.25)
    assert not times.converged


def test_inputs_are_fresh_each_trial_and_equal_for_both() -> None:
    seen: dict[str, list[float]] = {"candidate": [], "baseline": []}

    def trial(candidate: str, rng: np.random.Generator) -> Iterator[Step]:
        number = float(rng.random())
        yield Step("draw", lambda: seen[candidate].append(number))

    time_pair(
        Workload("draw", trial, max_trials=5),
        "candidate",
        "baseline",
        seconds=10,
        half_width=0,
        rng=np.random.default_rng(0),
    )
    assert seen["candidate"] == seen["baseline"]
    assert len(set(seen["candidate"])) == 5


def test_order_within_a_pair_is_random() -> None:
    calls: list[str] = []

    def trial(candidate: str, rng: np.random.Generator) -> Iterator[Step]:
        for _ in range(40):
            yield Step("call", lambda: calls.append(candidate))

    time_pair(Workload("w", trial, max_trials=1), "a", "b", seconds=10, half_width=0, rng=np.random.default_rng(0))
    firsts = calls[::2]
    assert 8 < firsts.count("a") < 32


def test_unequal_phases_are_refused() -> None:
    def trial(candidate: str, rng: np.random.Generator) -> Iterator[Step]:
        yield Step(candidate, lambda: None)

    with pytest.raises(ValueError, match="candidate is at 'a', baseline at 'b'"):
        time_pair(Workload("w", trial), "a", "b", seconds=1, half_width=1, rng=np.random.default_rng(0))
