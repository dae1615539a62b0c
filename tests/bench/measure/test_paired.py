"""Paired times: which pairs are kept, in which order both sides run, and what is taken out of a time."""

import gc
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from bench.contract import Step, Workload
from bench.measure.clock import Reading
from bench.measure.known import RATIOS, KnownWork, ServedChain, known_chains
from bench.measure.paired import PairedTimes, go_through, time_pair
from bench.measure.selfcheck import sides_here
from bench.measure.side import Side, quiet_collector
from bench.measure.statistics import ratio_interval
from bench.record.schema import Timing
from tests.bench.measure.toys import ToldSide, Toy, reading, sides, told_sides, workload

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
Act = Callable[..., Any]


def compare(work: Workload, candidate: Side, baseline: Side, **options: Any) -> dict[str, PairedTimes]:
    settings = {"seconds": 0, "half_width": 0, "rng": np.random.default_rng(0)} | options
    return time_pair(work, candidate, baseline, **settings)


def measure(work: Workload, candidate: Act, baseline: Act, **options: Any) -> dict[str, PairedTimes]:
    """Of two functions, by the clock."""
    with sides(candidate, baseline) as both:
        return compare(work, *both, **options)


def told(work: Workload, candidate: Act, baseline: Act, **options: Any) -> dict[str, PairedTimes]:
    """Of two functions that say how long they took."""
    with told_sides(candidate, baseline) as both:
        return compare(work, *both, **options)


def nothing() -> None:
    pass


def test_sleeping_twice_as_long_takes_twice_as_long() -> None:
    times = measure(workload(trials=12), partial(time.sleep, 0.004), partial(time.sleep, 0.002))["call"]
    assert len(times.candidate) == len(times.baseline) == 12 - times.warm_up - times.dropped
    assert np.median(times.candidate) / np.median(times.baseline) == pytest.approx(2.0, rel=0.25)
    assert not times.converged


def test_the_fields_are_those_of_the_record() -> None:
    times = measure(workload(trials=8), nothing, nothing)["call"]
    stored = Timing(**vars(times))
    assert stored.candidate == times.candidate


def test_inputs_are_fresh_each_trial_and_equal_for_both() -> None:
    seen: dict[str, list[float]] = {"candidate": [], "baseline": []}

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        yield Step("draw", "do", (float(rng.random()),))

    drawing = Workload("draw", trial, min_trials=5, max_trials=5)
    measure(drawing, seen["candidate"].append, seen["baseline"].append)
    assert seen["candidate"] == seen["baseline"]
    assert len(set(seen["candidate"])) == 5


def test_the_order_is_random_and_each_side_is_first_equally_often() -> None:
    orders = set()
    for seed in range(20):
        calls: list[str] = []
        measure(
            workload(trials=12), partial(calls.append, "a"), partial(calls.append, "b"), rng=np.random.default_rng(seed)
        )
        assert calls[::2].count("a") == 6
        orders.add("".join(calls[::2]))
    assert len(orders) > 10


class Throttled:
    def __init__(self, reasons: list[str | None]) -> None:
        self.reasons = iter(reasons)

    def reason(self) -> str | None:
        return next(self.reasons)


def test_a_throttled_trial_is_no_sample_and_counted() -> None:
    throttle = Throttled([None, "heat", None, "heat"] * 5)
    times = measure(workload(trials=20), nothing, nothing, throttle=throttle)["call"]
    assert times.dropped == 10
    assert len(times.candidate) == 10 - times.warm_up
    none = measure(workload(trials=8), nothing, nothing, throttle=Throttled(["heat"] * 8))["call"]
    assert (none.candidate, none.baseline, none.dropped, none.converged) == ([], [], 8, False)


def test_pairs_that_waited_are_dropped_while_enough_others_remain() -> None:
    def waiting() -> Act:
        waits = iter([0.0, 0.0, 0.5, 0.0] * 100)
        return lambda: reading(1.0, waited=next(waits))

    act = waiting()
    times = told(workload(trials=40), act, act)["call"]
    assert times.dropped == 20
    act = waiting()
    kept = told(workload(trials=10), act, act)["call"]
    assert (kept.dropped, len(kept.candidate)) == (0, 10)


def test_what_was_taken_out_is_said() -> None:
    def act() -> Reading:
        return reading(1.0, lost=0.25)

    times = told(workload(trials=8), act, act)["call"]
    assert times.candidate == [1.0] * 8
    assert times.waited == pytest.approx(0.2)


def test_warm_up_is_cut_and_counted() -> None:
    seconds = iter([x for x in [9.0, 4.0, 2.0] + [1.0, 1.01, 0.99] * 20 for _ in range(2)])
    act = partial(next, seconds)
    times = told(workload(trials=60), act, act)["call"]
    assert times.warm_up == 3
    assert max(times.candidate + times.baseline) < 1.1


def growing(shapes: range) -> Workload:
    """One trial with a step of each shape."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        for shape in shapes:
            yield Step("token", "do", (shape,))

    return Workload("grows", trial, min_trials=1, max_trials=1)


def test_to_go_through_a_workload_is_to_take_every_step_of_a_trial() -> None:
    seen: list[int] = []
    with sides(seen.append, nothing) as (candidate, _):
        go_through(growing(range(3, 6)), candidate, np.random.default_rng(0))
    assert seen == [3, 4, 5]


def test_what_a_gpu_first_does_at_a_shape_is_in_no_time() -> None:
    """Whichever side meets a shape first builds its plan here, for both."""
    built: set[int] = set()

    def act(shape: int) -> float:
        seconds = 1.0 if shape in built else 3.0
        built.add(shape)
        return seconds

    times = told(growing(range(12)), act, act, device="cuda")["token"]
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
    with quiet_collector(), quiet_collector():
        assert not gc.isenabled()
        assert not collectable(old)
        assert collectable(new) == frozen
    left = collectable(old), collectable(new), gc.get_freeze_count() > 0
    gc.unfreeze()
    assert gc.isenabled()
    assert left == (not frozen, True, frozen)


def test_it_stops_when_the_interval_is_narrow_and_not_before() -> None:
    draw = np.random.default_rng(1)

    def noisy(seconds: float) -> float:
        return float(seconds * np.exp(draw.normal(0, 0.02)))

    work = workload(min_trials=1, max_trials=3000)
    both = partial(noisy, 1.0), partial(noisy, 2.0)
    times = told(work, *both, seconds=60, half_width=0.01)["call"]
    interval = ratio_interval(times.candidate, times.baseline)
    assert times.converged
    assert (interval.high - interval.low) / 2 / interval.value <= 0.01
    assert interval.low < 0.5 < interval.high
    assert 20 <= len(times.candidate) < 3000 / 2
    tighter = told(work, *both, seconds=60, half_width=0.004)["call"]
    interval = ratio_interval(tighter.candidate, tighter.baseline)
    assert (interval.high - interval.low) / 2 / interval.value <= 0.004
    assert len(tighter.candidate) >= 100  # 192 in the mean; how many more hangs on when it has looked
    assert not told(work, *both, seconds=0, half_width=0.01)["call"].converged


def test_a_trial_that_throttled_does_not_keep_it_going_for_ever() -> None:
    calls: list[int] = []

    class Always:
        def reason(self) -> str:
            return "heat"

    work = workload(min_trials=3, max_trials=1000)
    act = partial(calls.append, 1)
    assert measure(work, act, act, seconds=0.01, throttle=Always())["call"].candidate == []
    assert len(calls) < 20_000


def test_the_candidates_results_are_inspected_after_the_clock() -> None:
    seen: list[tuple[str, int]] = []

    def look(step: Step, side: Side) -> None:
        seen.append((step.phase, side.result()))

    times = measure(workload(trials=8), lambda: 1, lambda: 2, inspect=look)
    assert seen == [("call", 1)] * 8
    assert len(times["call"].candidate) + times["call"].warm_up == 8

    def refuse(step: Step, side: Side) -> None:
        raise RuntimeError("not what was scored")

    with pytest.raises(RuntimeError, match="not what was scored"):
        measure(workload(trials=8), nothing, nothing, inspect=refuse)


def test_a_pair_that_an_inspection_parted_is_no_sample() -> None:
    slow = measure(workload(trials=10), nothing, nothing, inspect=lambda step, side: time.sleep(0.002))["call"]
    assert slow.dropped == 5  # those in which the candidate went first


class Graphless(ToldSide):
    """Says that it has captured a step, or that it can't."""

    captures = True

    def load(self, steps: Sequence[Step], *, graph: bool = False) -> None:
        if graph and not self.captures:
            raise RuntimeError("it waits for the host")
        super().load(steps)


@pytest.mark.parametrize("captures", [True, False])
def test_what_is_found_of_a_graph_is_not_taken_for_a_step_that_has_none(
    captures: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def trial(rng: np.random.Generator) -> Iterator[Step]:
        yield Step("sum", "do", graph=True)

    def refuse(step: Step, side: Side) -> None:
        if step.phase == "sum-graph":
            raise RuntimeError("not what was scored")

    work = Workload("w", trial, min_trials=4, max_trials=4)
    with Graphless(Toy(lambda: 1.0, "cpu")) as one, Graphless(Toy(lambda: 1.0, "cpu")) as other:
        one.captures = other.captures = captures
        if captures:
            assert set(compare(work, one, other, device="cuda")) == {"sum", "sum-graph"}
            with pytest.raises(RuntimeError, match="not what was scored"):
                compare(work, one, other, device="cuda", inspect=refuse)
        else:
            assert set(compare(work, one, other, device="cuda", inspect=refuse)) == {"sum"}
            assert "no CUDA graph of 'sum': it waits for the host" in caplog.text


@pytest.mark.parametrize("ratio", RATIOS)
def test_known_ratios_are_known(ratio: float) -> None:
    candidate, baseline = known_chains(ratio)
    assert candidate.products / baseline.products == pytest.approx(ratio, abs=1e-12)
    assert candidate.weight.data_ptr() != baseline.weight.data_ptr()
    (work,) = KnownWork().workloads("cpu")
    (step,) = work.trial(np.random.default_rng(0))
    with sides_here(ratio) as both:
        for side in both:
            side.load([step])
            side.run()
            assert float(side.result().norm() / np.linalg.norm(step.inputs[0])) == pytest.approx(1.0, rel=1e-3)
    with pytest.raises(ValueError, match="whole number"):
        known_chains(1.0001)


def known_on_a_gpu(ratio: float, **options: Any) -> dict[str, PairedTimes]:
    (work,) = KnownWork().workloads("cuda")
    with sides_here(ratio, "cuda") as both:
        return compare(work, *both, device="cuda", **options)


@pytest.mark.gpu
@gpu
def test_on_a_gpu_the_devices_own_clock_stands_beside_the_wall() -> None:
    found = known_on_a_gpu(2.0, seconds=2, half_width=0.01)
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
    plain = ServedChain(known_chains(1.0, "cuda")[0], "cuda")
    wrong: list[float] = []

    def inspect(step: Step, side: Side) -> None:
        if step.phase == "chain-graph":
            wrong.append(float((side.result() - plain.chain(*plain.place(step.inputs))).abs().max()))

    known_on_a_gpu(1.0, inspect=inspect)
    assert len(wrong) >= 8
    assert max(wrong) < 1e-4


@pytest.mark.gpu
@gpu
def test_a_step_that_cannot_be_captured_is_timed_without_a_graph(caplog: pytest.LogCaptureFixture) -> None:
    def trial(rng: np.random.Generator) -> Iterator[Step]:
        yield Step("sum", "do", graph=True)

    def act() -> float:
        return float(ones.sum().item())

    ones = torch.ones(1000, device="cuda")
    work = Workload("w", trial, min_trials=4, max_trials=4)
    with caplog.at_level(logging.WARNING), sides(act, act, "cuda") as both:
        found = compare(work, *both, device="cuda")
    assert set(found) == {"sum"}
    assert "no CUDA graph of 'sum'" in caplog.text
