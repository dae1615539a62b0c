"""FLOPs of trainings: those of all steps, of which a sample is counted."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suites._training import tally
from suites._training.fit import fit
from suites._training.loop import train
from suites._training.trainer import Trainer
from tests.suites._training.toys import WIDTH, Lines, batches

POINT = 6 * (WIDTH * 4 + 4) - 2 * WIDTH * 4
"""FLOPs of a point: forward, and twice that back, but for the gradient of what is no weight."""


@pytest.fixture(autouse=True)
def nothing_trained_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "_trainings", [])


def test_where_nothing_was_trained_nothing_was_spent() -> None:
    assert tally.spent() == {}
    train(Trainer(Lines()), [], 0.1)
    assert tally.spent() == {}


@pytest.mark.parametrize("steps", [1, 2, 40])
def test_every_step_counts(steps: int) -> None:
    train(Trainer(Lines()), batches(steps, points=8), 0.01)
    assert tally.spent() == {"build.flops": steps * 8 * POINT}


def test_trainings_add_up_whatever_their_batches() -> None:
    train(Trainer(Lines()), batches(3, points=8), 0.01)
    train(Trainer(Lines(), rows=2), [*batches(2, points=4), *batches(1, points=10)], 0.01)
    assert tally.spent()["build.flops"] == pytest.approx((24 + 18) * POINT)


def test_few_steps_are_counted_and_counting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []
    plain = tally._Flops

    class Watched(plain):  # type: ignore[misc,valid-type]
        def __enter__(self) -> Any:
            counted.append(self)
            return super().__enter__()

    monkeypatch.setattr(tally, "_Flops", Watched)
    first = Trainer(Lines())
    train(first, batches(40), 0.01)
    assert len(counted) == 3
    monkeypatch.setattr(tally, "STRIDE", 10**9)
    second = Trainer(Lines())
    train(second, batches(40), 0.01)
    pairs = zip(first.learner.model.parameters(), second.learner.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_training_that_diverges_has_taken_what_it_took() -> None:
    with pytest.raises(FloatingPointError):
        train(Trainer(Lines()), batches(40), 1e30)
    assert 0 < tally.spent()["build.flops"] < 40 * 8 * POINT


def test_attention_counts_forward_and_back() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            y = x * self.scale
            return nn.functional.scaled_dot_product_attention(y, y, y)

    model, x = Attends(), torch.randn(2, 3, 5, 8)
    fit(model, [x], lambda data: model(data).square().mean(), learning_rate=0.1)
    product = 2 * 2 * 3 * 5 * 5 * 8
    assert tally.spent() == {"build.flops": (2 + 5) * product}


def test_of_a_product_that_nobody_can_count_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    train(Trainer(Lines()), batches(3), 0.01)
    monkeypatch.delitem(tally._formulas, torch.ops.aten.addmm)
    train(Trainer(Lines()), batches(3), 0.01)
    assert tally.spent() == {}
