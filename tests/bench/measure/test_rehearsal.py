"""A workload gone through before it is timed: what is counted, and how far it goes."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from bench.contract import Step, Workload
from bench.measure.rehearsal import rehearse
from bench.measure.side import SideHere
from tests.bench.measure.toys import Toy, sides

MIB = 2**20


def reading_and_writing(rng: np.random.Generator) -> Iterator[Step]:
    """A prompt of 8 rows, then 10 single ones."""
    for phase, rows in [("read", 8), *[("write", 1)] * 10]:
        yield Step(phase, "do", (rng.standard_normal((rows, 16), dtype=np.float32),))


TALK = Workload("talk", reading_and_writing)


def test_each_phase_is_counted_by_its_own_steps() -> None:
    weight = torch.randn(16, 4)
    with sides(lambda x: x @ weight, lambda x: x) as (side, _):
        found = rehearse(TALK, side, seed=0)
    assert {phase: work.flops for phase, work in found.work.items()} == {"read": 2 * 8 * 16 * 4, "write": 2 * 16 * 4}
    assert found.work["write"].bytes == 4 * (16 * 4 + 16)
    assert found.uncounted == ()


def test_the_least_that_a_step_of_a_phase_took_is_kept() -> None:
    weight = torch.randn(16, 16)
    left = iter([3, 1, 2, 1])

    def act(x: torch.Tensor) -> torch.Tensor:
        for _ in range(next(left)):
            x = x @ weight
        return x

    with sides(act, act) as (side, _):
        found = rehearse(TALK, side, seed=0)
    assert found.work["read"].flops == 3 * 2 * 8 * 16 * 16
    assert found.work["write"].flops == 2 * 16 * 16


def test_it_goes_as_far_as_it_needs_and_starts_from_its_seed() -> None:
    seen: list[torch.Tensor] = []
    with sides(seen.append, seen.append) as (side, _):
        for seed in (0, 0, 1):
            rehearse(TALK, side, seed=seed)
    assert len(seen) == 3 * 4  # one to read, three to write
    assert torch.equal(seen[1], seen[5])
    assert not torch.equal(seen[1], seen[9])


def test_work_that_nobody_can_count_is_named_and_nothing_is_said_of_it() -> None:
    with sides(lambda x: x.numpy() @ np.ones((16, 4)), lambda x: x) as (side, _):
        found = rehearse(TALK, side, seed=0)
    assert found.work == {}
    assert [name.partition(" ")[0] for name in found.uncounted] == ["Tensor.numpy"]


def test_the_peak_is_that_of_the_steps() -> None:
    with SideHere(Toy(lambda x: torch.ones(64 * MIB // 4).sum(), "cpu")) as side:
        found = rehearse(TALK, side, seed=0)
    assert found.peak_bytes == pytest.approx(64 * MIB, rel=0.1)
