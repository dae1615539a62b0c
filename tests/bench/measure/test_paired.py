"""Paired times: which pairs are kept, in which order both sides run, and what is taken out of a time."""

import gc
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from bench.contract import Step, Workload
from bench.measure import paired
from bench.measure.clock import Clock, Reading
from bench.measure.known import RATIOS, known_pair
from bench.measure.paired import PairedTimes, go_through, time_pair
from bench.measure.statistics import ratio_interval
from bench.record.schema import Timing

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def measure(workload: Workload, candidate: Any, baseline: Any, **options: Any) -> dict[str, PairedTimes]:
    settings = {"seconds": 0, "half_width": 0, "rng": np.random.default_rng(0)} | options
    return time_pair(workload, candidate, baseline, **settings)


def steps(run: Callable[[Any], Any], count: int, **options: Any) -> Workload:
    """`count` trials of one step, which is given its candidate."""

    def trial(candidate: Any, rng: np.random.Generator) -> Iterator[Step]:
        yield Step("call", run, inputs=(candidate,))

    return Workload("calls", trial, min_trials=count, max_trials=count, **options)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that believes what a step returns: a Reading, or plain seconds."""

    def timed(self: Any, run: Callable[[], Any]) -> tuple[Any, Reading]:
        result = run()
        return result, result if isinstance(result, Reading) else reading(result)

    monkeypatch.setattr(paired.Clock, "time", timed)


def reading(seconds: float, lost: float = 0.0, waited: float = 0.0) -> Reading:
    return Reading(seconds, lost, None, seconds, seconds, waited)


def test_sleeping_twice_as_long_takes_twice_as_long() -> None:
    times = measure(steps(time.sleep, 12), 0.004, 0.002)["call"]
    assert len(times.candidate) == len(times.baseline) == 12 - times.warm_up - times.dropped
    assert np.median(times.candidate) / np.median(times.baseline) == pytest.approx(2.0, rel=0.25)
    assert not times.converged


def test_the_fields_are_those_of_the_record() -> None:
    times = measure(steps(lambda x: x, 8), 1, 2)["call"]
    stored = Timing(**vars(times))
    assert stored.candidate == times.candidate


def test_inputs_are_fresh_each_trial_and_equal_for_both() -> None:
    seen: dict[str, list[float]] = {"candidate": [], "baseline": []}

    def trial(candidate: str, rng: np.random.Generator) -> Iterator[Step]:
        number = float(rng.random())
        yield Step("draw", lambda: seen[candidate].append(number))

    measure(Workload("draw", trial, min_trials=5, max_trials=5), "candidate", "baseline")
    assert seen["candidate"] == seen["baseline"]
    assert len(set(seen["candidate"])) == 5


def test_the_order_is_random_and_each_side_is_first_equally_often() -> None:
    orders = set()
    for seed in range(20):
        calls: list[str] = []
        measure(steps(calls.append, 12), "a", "b", rng=np.random.default_rng(seed))
        assert calls[::2].count("a") == 6
        orders.add("".join(calls[::2]))
    assert len(orders) > 10


def test_unequal_phases_or_units_are_refused() -> None:
    def trial(candidate: tuple[str, float], rng: np.random.Generator) -> Iterator[Step]:
        yield Step(candidate[0], lambda: None, units=candidate[1])

    with pytest.raises(ValueError, match="candidate is at 'a', baseline at 'b'"):
        measure(Workload("w", trial), ("a", 1), ("b", 1))
    with pytest.raises(ValueError, match="with 2 and 3 units"):
        measure(Workload("w", trial), ("a", 2), ("a", 3))


@pytest.mark.usefixtures("told")
def test_another_shape_of_the_same_work_is_compared_per_unit() -> None:
    def at(batch: int) -> Workload:
        def trial(seconds: float, rng: np.random.Generator) -> Iterator[Step]:
            yield Step("decode", lambda: batch * seconds, units=batch)

        return Workload("w", trial, unit="token", min_trials=8, max_trials=8)

    times = measure(at(4), 0.5, 2.0, baseline_workload=at(16))["decode"]
    assert (times.units, times.unit) == (1, "token")
    assert times.candidate == [0.5] * 8
    assert times.baseline == [2.0] * 8


class Throttled:
    def __init__(self, reasons: list[str | None]) -> None:
        self.reasons = iter(reasons)

    def reason(self) -> str | None:
        return next(self.reasons)


def test_a_throttled_trial_is_no_sample_and_counted() -> None:
    throttle = Throttled([None, "heat", None, "heat"] * 5)
    times = measure(steps(lambda x: x, 20), 1, 2, throttle=throttle)["call"]
    assert times.dropped == 10
    assert len(times.candidate) == 10 - times.warm_up
    nothing = measure(steps(lambda x: x, 8), 1, 2, throttle=Throttled(["heat"] * 8))["call"]
    assert (nothing.candidate, nothing.baseline, nothing.dropped, nothing.converged) == ([], [], 8, False)


@pytest.mark.usefixtures("told")
def test_pairs_that_waited_are_dropped_while_enough_others_remain() -> None:
    waits = iter([0.0, 0.0, 0.5, 0.0] * 100)
    times = measure(steps(lambda x: reading(1.0, waited=next(waits)), 40), None, None)["call"]
    assert times.dropped == 20
    few = iter([0.0, 0.0, 0.5, 0.0] * 100)
    kept = measure(steps(lambda x: reading(1.0, waited=next(few)), 10), None, None)["call"]
    assert (kept.dropped, len(kept.candidate)) == (0, 10)


@pytest.mark.usefixtures("told")
def test_what_was_taken_out_is_said() -> None:
    times = measure(steps(lambda x: reading(1.0, lost=0.25), 8), None, None)["call"]
    assert times.candidate == [1.0] * 8
    assert times.waited == pytest.approx(0.2)


@pytest.mark.usefixtures("told")
def test_warm_up_is_cut_and_counted() -> None:
    seconds = iter([x for x in [9.0, 4.0, 2.0] + [1.0, 1.01, 0.99] * 20 for _ in range(2)])
    times = measure(steps(lambda x: next(seconds), 60), None, None)["call"]
    assert times.warm_up == 3
    assert max(times.candidate + times.baseline) < 1.1


def test_to_go_through_a_workload_is_to_take_every_step_of_a_trial() -> None:
    seen: list[tuple[str, int]] = []

    def trial(candidate: str, rng: np.random.Generator) -> Iterator[Step]:
        for length in (3, 4, 5):
            yield Step("token", lambda name, length: seen.append((name, length)), inputs=(candidate, length))

    go_through(Workload("grows", trial), "a", np.random.default_rng(0))
    assert seen == [("a", 3), ("a", 4), ("a", 5)]


@pytest.mark.usefixtures("told")
def test_what_a_gpu_first_does_at_a_shape_is_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever side meets a shape first builds its plan here, for both."""
    monkeypatch.setattr(paired, "Clock", lambda device: Clock("cpu"))  # which needs no GPU
    built: set[int] = set()

    def read(shape: int) -> float:
        seconds = 1.0 if shape in built else 3.0
        built.add(shape)
        return seconds

    def trial(candidate: None, rng: np.random.Generator) -> Iterator[Step]:
        for shape in range(12):
            yield Step("token", read, inputs=(shape,))

    times = measure(Workload("grows", trial, min_trials=1, max_trials=1), None, None, device="cuda")["token"]
    assert times.candidate == times.baseline == [1.0] * 12


@pytest.mark.parametrize("frozen", [False, True])
def test_what_somebody_froze_stays_frozen_and_nothing_else(frozen: bool) -> None:
    # Two objects are watched, as a count of what is frozen changes whenever other threads let go of some of it.
    def collectable(watched: list[int]) -> bool:
        return any(watched is other for other in gc.get_objects())

    gc.unfreeze()
    old = [1]
    if frozen:
        gc.freeze()
    new = [2]
    with paired.quiet_collector(), paired.quiet_collector():
        assert not gc.isenabled()
        assert not collectable(old)
        assert collectable(new) == frozen
    left = collectable(old), collectable(new), gc.get_freeze_count() > 0
    gc.unfreeze()
    assert gc.isenabled()
    assert left == (not frozen, True, frozen)


@pytest.mark.usefixtures("told")
def test_it_stops_when_the_interval_is_narrow_and_not_before() -> None:
    draw = np.random.default_rng(1)

    def noisy(x: float) -> float:
        return float(x * np.exp(draw.normal(0, 0.02)))

    def trial(candidate: float, rng: np.random.Generator) -> Iterator[Step]:
        yield Step("call", lambda: noisy(candidate))

    workload = Workload("w", trial, max_trials=3000)
    times = measure(workload, 1.0, 2.0, seconds=60, half_width=0.01)["call"]
    interval = ratio_interval(times.candidate, times.baseline)
    assert times.converged
    assert (interval.high - interval.low) / 2 / interval.value <= 0.01
    assert interval.low < 0.5 < interval.high
    assert 20 <= len(times.candidate) < 3000 / 2
    tighter = measure(workload, 1.0, 2.0, seconds=60, half_width=0.004)["call"]
    interval = ratio_interval(tighter.candidate, tighter.baseline)
    assert (interval.high - interval.low) / 2 / interval.value <= 0.004
    assert len(tighter.candidate) > len(times.candidate)
    assert not measure(workload, 1.0, 2.0, seconds=0, half_width=0.01)["call"].converged


def test_a_trial_that_throttled_does_not_keep_it_going_for_ever() -> None:
    calls: list[int] = []
    workload = Workload("w", lambda candidate, rng: iter([Step("call", lambda: calls.append(1))]), min_trials=3)

    class Always:
        def reason(self) -> str:
            return "heat"

    assert measure(workload, 1, 2, seconds=0.01, throttle=Always())["call"].candidate == []
    assert len(calls) < 20_000


def test_the_candidates_results_are_inspected_after_the_clock() -> None:
    seen: list[tuple[str, int]] = []
    times = measure(steps(lambda x: x, 8), 1, 2, inspect=lambda step, result: seen.append((step.phase, result)))
    assert seen == [("call", 1)] * 8
    assert len(times["call"].candidate) + times["call"].warm_up == 8

    def refuse(step: Step, result: Any) -> None:
        raise RuntimeError("not what was scored")

    with pytest.raises(RuntimeError, match="not what was scored"):
        measure(steps(lambda x: x, 8), 1, 2, inspect=refuse)


def test_a_pair_that_an_inspection_parted_is_no_sample() -> None:
    slow = measure(steps(lambda x: x, 10), 1, 2, inspect=lambda step, result: time.sleep(0.002))["call"]
    assert slow.dropped == 5  # those in which the candidate went first


@pytest.mark.parametrize("ratio", RATIOS)
def test_known_ratios_are_known(ratio: float) -> None:
    workload, candidate, baseline = known_pair(ratio)
    assert candidate.products / baseline.products == pytest.approx(ratio, abs=1e-12)
    assert candidate.weight.data_ptr() != baseline.weight.data_ptr()
    (step,) = workload.trial(candidate, np.random.default_rng(0))
    result = step.run(*step.inputs)
    assert float(result.norm() / step.inputs[0].norm()) == pytest.approx(1.0, rel=1e-3)
    with pytest.raises(ValueError, match="whole number"):
        known_pair(1.0001)


@pytest.mark.gpu
@gpu
def test_on_a_gpu_the_devices_own_clock_stands_beside_the_wall() -> None:
    workload, candidate, baseline = known_pair(2.0, "cuda")
    found = measure(workload, candidate, baseline, seconds=2, half_width=0.01, device="cuda")
    assert set(found) == {"chain", "chain-graph"}
    for times in found.values():
        assert times.cores is None
        assert times.device_candidate is not None
        assert times.device_baseline is not None
        assert len(times.device_candidate) == len(times.candidate)
        assert all(0 < device <= wall for device, wall in zip(times.device_candidate, times.candidate, strict=True))
    assert found["chain-graph"].graph
    assert not found["chain"].graph


@pytest.mark.gpu
@gpu
def test_a_replayed_graph_computes_with_fresh_inputs() -> None:
    workload, candidate, baseline = known_pair(1.0, "cuda")
    wrong: list[float] = []

    def inspect(step: Step, result: torch.Tensor) -> None:
        if step.phase == "chain-graph":
            wrong.append(float((result - candidate(*step.inputs)).abs().max()))

    measure(workload, candidate, baseline, device="cuda", inspect=inspect)
    assert len(wrong) >= 8
    assert max(wrong) < 1e-4


@pytest.mark.gpu
@gpu
def test_a_step_that_cannot_be_captured_is_timed_without_a_graph(caplog: pytest.LogCaptureFixture) -> None:
    def trial(candidate: torch.Tensor, rng: np.random.Generator) -> Iterator[Step]:
        yield Step("sum", lambda x: x.sum().item(), inputs=(candidate,), graph=True)

    ones = torch.ones(1000, device="cuda")
    with caplog.at_level(logging.WARNING):
        found = measure(Workload("w", trial, min_trials=4, max_trials=4), ones, ones.clone(), device="cuda")
    assert set(found) == {"sum"}
    assert "no CUDA graph of 'sum'" in caplog.text
