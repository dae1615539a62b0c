"""The search for the best batch, on models whose optimum, memory and breaking point are ours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from bench.contract import Served, Step, Workload
from bench.measure import throughput
from bench.measure.clock import Reading
from bench.measure.memory import is_out_of_memory
from bench.measure.side import SideHere
from bench.measure.throughput import best, measure_throughput
from bench.record.schema import Batch, Throughput
from tests.bench.measure.toys import Toy, reading
from tests.bench.measure.toys import workload as toy_workload

MIB = 2**20
NO_LIMIT = 1e15


class Time:
    """Seconds that pass when a model says so."""

    now = 0.0


@pytest.fixture(autouse=True)
def made_up_time(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The search sees Model.seconds pass, to the digit."""
    if request.node.get_closest_marker("gpu"):
        return
    made_up = Time()
    monkeypatch.setattr(throughput, "_now", lambda: made_up.now)
    monkeypatch.setattr(Model, "time", made_up)


@dataclass
class Model:
    """Takes seconds(batch) for a trial, allocates bytes_each per sample, breaks at a batch in its own way."""

    seconds: Callable[[int], float]
    bytes_each: int = 0
    breaks_at: int = 2**30
    error: Callable[[], BaseException] = MemoryError
    weights: torch.Tensor | None = None
    time: ClassVar[Time] = Time()


class ServedModel(Served[Model]):
    def half(self, batch: int) -> None:
        model = self.candidate
        if batch >= model.breaks_at:
            raise model.error()
        torch.ones(batch * model.bytes_each // 4).sum()
        model.time.now += model.seconds(batch) / 2

    def resident(self) -> torch.Tensor | None:
        return self.candidate.weights


class MadeUp(SideHere):
    """A side on which the models' seconds pass."""

    def run(self) -> Reading:
        start = Model.time.now
        super().run()
        return reading(Model.time.now - start)


def workload(batch: int = 1) -> Workload:
    def trial(rng: np.random.Generator) -> Iterator[Step]:
        yield Step("prompt", "half", (batch,), units=0)
        yield Step("answer", "half", (batch,), units=batch)

    return Workload("fake", trial, unit="token", min_trials=7, max_trials=12, at_batch=workload)


def search(model: Model, limit: float = NO_LIMIT, seconds: float = 1e9) -> list[Batch]:
    with MadeUp(ServedModel(model, "cpu")) as side:
        return throughput._search(workload(), side, limit, seconds, np.random.default_rng(0)).batches


def saturating(knee: int) -> Callable[[int], float]:
    """Throughput grows in proportion up to the knee, then not at all."""
    return lambda batch: max(1.0, batch / knee)


def test_the_batch_grows_until_the_throughput_does_not() -> None:
    tried = search(Model(saturating(16)))
    assert best(tried) == 16
    assert 64 <= max(batch.batch for batch in tried) <= 128  # two doublings that gain nothing
    assert all(batch.reason is None for batch in tried)


def test_one_bad_batch_size_does_not_end_the_search() -> None:
    def dip(batch: int) -> float:
        return float(3 if batch == 4 else 1)

    assert best(search(Model(lambda batch: dip(batch) * max(1, batch / 32)))) == 32


def test_an_optimum_between_powers_of_two_is_found() -> None:
    def paged(batch: int) -> float:
        """From 25 samples on all is twice as slow."""
        return 1.0 if batch <= 24 else 2.5 * batch / 25

    assert 16 < best(search(Model(paged))) <= 24


def test_the_smallest_of_equals_is_best() -> None:
    rates = {1: 50.0, 2: 99.0, 4: 100.0, 8: 100.5, 16: None}
    assert best([Batch(batch=size, per_second=rate) for size, rate in rates.items()]) == 2
    with pytest.raises(ValueError, match="no batch"):
        best([Batch(batch=1, reason="out of memory")])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError,
        lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        lambda: RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you ..."
        ),
    ],
)
def test_out_of_memory_is_survived_and_told(error: Callable[[], BaseException]) -> None:
    tried = search(Model(lambda batch: 1.0, breaks_at=11, error=error))
    broken = [batch for batch in tried if batch.reason is not None]
    assert 16 in {batch.batch for batch in broken}
    assert all("out of memory" in str(batch.reason) and batch.per_second is None for batch in broken)
    assert 8 <= best(tried) <= 10


def test_a_real_allocation_that_fails_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_another_error_is_not_swallowed() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        search(Model(lambda batch: 1.0, breaks_at=4, error=lambda: RuntimeError("shapes do not match")))


def test_memory_of_a_failed_batch_is_let_go() -> None:
    alive: list[int] = []

    class Tensors:
        def __init__(self) -> None:
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    def act() -> None:
        kept = Tensors()
        raise MemoryError(str(kept))

    def failing(batch: int) -> Workload:
        return replace(toy_workload(), at_batch=failing)

    with SideHere(Toy(act, "cpu")) as side:
        tried = throughput._search(failing(1), side, NO_LIMIT, 1, np.random.default_rng(0)).batches
        assert not alive
    assert [batch.per_second for batch in tried] == [None]


def test_what_would_pass_the_limit_is_not_begun() -> None:
    """40 MiB a sample (the heap may hold smaller ones already, uncounted) under 500: 12 fit, 16 is never run, though it
    would work."""
    ran: list[int] = []

    def seconds(batch: int) -> float:
        ran.append(batch)
        return 1.0

    tried = search(Model(seconds, bytes_each=40 * MIB), limit=500 * MIB)
    refused = [batch for batch in tried if batch.batch == 16]
    assert "not begun" in str(refused[0].reason)
    assert "limit" in str(refused[0].reason)
    assert max(ran) <= 12
    assert 8 <= best(tried) <= 12
    peaks = {batch.batch: batch.peak_bytes for batch in tried if batch.peak_bytes}
    assert peaks[8] == pytest.approx(320 * MIB, rel=0.15)


def test_weights_count_against_the_limit() -> None:
    light = search(Model(lambda batch: 1.0, bytes_each=40 * MIB), limit=800 * MIB)
    heavy = search(Model(lambda batch: 1.0, bytes_each=40 * MIB, weights=torch.ones(480 * MIB // 4)), limit=800 * MIB)
    assert best(heavy) < 8 < best(light)


def test_a_first_batch_over_the_limit_leaves_nothing() -> None:
    tried = search(Model(lambda batch: 1.0, bytes_each=64 * MIB), limit=20 * MIB)
    assert len(tried) == 1
    assert "passes the limit" in str(tried[0].reason)
    assert tried[0].per_second is None


def test_when_the_time_is_up_the_next_batch_is_not_begun() -> None:
    tried = search(Model(lambda batch: 1.0), seconds=3.5)  # the first batch takes two trials
    assert tried[0].per_second is not None
    assert tried[-1].reason == "not begun: the time was up"
    assert [batch.batch for batch in tried] == [1, 2, 4, 8]


def measured(candidate: Model, baseline: Model, of: Workload, seconds: float = 300) -> Throughput | None:
    with MadeUp(ServedModel(candidate, "cpu")) as mine, MadeUp(ServedModel(baseline, "cpu")) as theirs:
        return measure_throughput(of, mine, theirs, seconds=seconds, rng=np.random.default_rng(0))


def test_each_side_is_timed_at_its_own_best_batch_and_compared_per_unit() -> None:
    found = measured(Model(saturating(16)), Model(saturating(4)), workload())
    assert found is not None
    assert (found.candidate_batch, found.baseline_batch, found.unit) == (16, 4, "token")
    assert len(found.candidate) == len(found.baseline) >= 3
    assert found.candidate == pytest.approx([1 / 16] * len(found.candidate))
    assert found.baseline == pytest.approx([1 / 4] * len(found.baseline))
    assert [batch.batch for batch in found.candidate_tried] != [batch.batch for batch in found.baseline_tried]


def test_nothing_is_measured_where_a_side_has_no_batch() -> None:
    candidate, broken = Model(lambda batch: 1.0), Model(lambda batch: 1.0, breaks_at=1)
    assert measured(candidate, broken, workload(), seconds=1) is None
    assert measured(candidate, candidate, Workload("fixed", workload().trial), seconds=1) is None


@pytest.mark.gpu
def test_a_real_gpu_out_of_memory_is_survived(cuda: str) -> None:
    def at(batch: int) -> Workload:
        return replace(toy_workload(batch, units=batch), at_batch=at)

    def act(batch: int) -> torch.Tensor:
        return torch.ones(batch, 2**28, device=cuda).sum()  # 1 GiB a sample

    total = torch.cuda.mem_get_info(cuda)[1]
    with SideHere(Toy(act, cuda), cuda) as side:
        tried = throughput._search(at(1), side, NO_LIMIT, 60, np.random.default_rng(0)).batches
    assert best(tried) <= total / 2**30
    with torch.cuda.device(cuda):
        torch.ones(2**28, device=cuda)
