"""Training without a learner: the schedule, the hooks, and 16 bits."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from suites._training import loop
from suites._training.fit import fit
from suites._training.learner import Moment
from suites._training.schedules import by_parts, by_steps
from suites._training.trainer import Trainer
from tests.suites._training.toys import Lines, Points, batches


def squares(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: model(x).float().square().mean()


def reference(model: nn.Module, data: list[Tensor], rate: float, warm_up: float, clip: float, decay: float) -> None:
    """The same written out."""
    loss = squares(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    ramp = max(1, round(warm_up * len(data)))
    for index, x in enumerate(data):
        share = min((index + 1) / ramp, (len(data) - index) / max(1, len(data) - ramp))
        optimizer.param_groups[0]["lr"] = rate * share
        loss(x).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize(("steps", "warm_up"), [(1, 0.1), (4, 0.1), (17, 0.1), (33, 0.0), (10, 1.0)])
def test_it_is_adamw_with_a_rate_that_rises_and_falls(steps: int, warm_up: float) -> None:
    ours, theirs = ([torch.manual_seed(0), nn.Linear(5, 3)][1] for _ in range(2))
    data = [torch.randn(4, 5) for _ in range(steps)]
    losses = fit(ours, data, squares(ours), learning_rate=0.1, warm_up=warm_up, clip=0.3, weight_decay=0.2)
    reference(theirs, data, 0.1, warm_up, 0.3, 0.2)  # type: ignore[arg-type]
    assert len(losses) == steps
    assert torch.equal(ours.weight, theirs.weight)  # type: ignore[union-attr]
    assert torch.equal(ours.bias, theirs.bias)  # type: ignore[union-attr]
    assert not ours.training  # type: ignore[union-attr]
    assert ours.weight.grad is None  # type: ignore[union-attr]


def test_hooks_see_the_gradients_and_the_moved_weights() -> None:
    model, seen = nn.Linear(5, 3), []
    weight = model.weight.detach().clone()

    def before(index: int) -> None:
        assert model.weight.grad is not None
        seen.append((index, torch.equal(model.weight, weight)))

    def after(index: int) -> None:
        assert model.weight.grad is None
        seen.append((index, torch.equal(model.weight, weight)))
        weight.copy_(model.weight.detach())

    data = [torch.randn(4, 5) for _ in range(2)]
    fit(model, data, squares(model), learning_rate=0.1, before_update=before, after_update=after)
    assert seen == [(0, True), (0, False), (1, True), (1, False)]


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    model = nn.Linear(5, 3)
    with pytest.raises(FloatingPointError, match="nan"):
        fit(model, [torch.full((1, 5), torch.nan)], squares(model), learning_rate=0.1)


@pytest.mark.parametrize("steps", [1, 2, 7, 45, 100])
def test_both_schedules_rise_over_a_tenth_and_fall_to_almost_nothing(steps: int) -> None:
    for schedule in (by_parts, by_steps()):
        shares = [schedule(index, steps, 1 - index / steps) for index in range(steps)]
        top = shares.index(max(shares))
        assert 0 < min(shares) <= max(shares) <= 1
        assert top <= round(0.1 * steps)
        assert shares[top:] == sorted(shares[top:], reverse=True)
        assert steps < 7 or shares[-1] <= 1.2 / steps


def test_the_curve_is_taken_in_equal_parts() -> None:
    curve = loop.train(Trainer(Lines()), batches(16), 0.05, validation=batches(2, seed=9))
    assert curve.sizes == [0, 32, 64, 96, 128]
    assert len(curve.losses) == 16
    assert curve.validation[-1] < curve.validation[0]
    assert curve.seconds == sorted(curve.seconds)


class Rates(Trainer[Points]):
    """Learns nothing, and keeps the rates that it was to learn with."""

    def __init__(self) -> None:
        super().__init__(Lines())
        self.rates: list[float] = []

    def step(self, batch: Points, rate: float, moment: Moment) -> float:
        self.rates.append(rate)
        return 1.0


def test_each_step_has_the_rate_that_the_schedule_says() -> None:
    parts, steps = Rates(), Rates()
    loop.train(parts, batches(20), 0.3)
    assert parts.rates == pytest.approx([0.3 * by_parts(index, 20, 1 - index / 20) for index in range(20)])
    loop.train(steps, batches(20), 0.3, schedule=by_steps(0.5))
    assert steps.rates == pytest.approx([0.3 * by_steps(0.5)(index, 20, 1 - index / 20) for index in range(20)])
    assert min(parts.rates) < 0.1 * max(parts.rates)


def test_where_the_clock_is_further_on_than_the_steps_the_rate_falls_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second for each look at the clock: a step takes one, and ten of twenty are made."""
    clock = iter(range(1000))
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    trainer = Rates()
    loop.train(trainer, batches(20), 0.3, seconds=10.0)
    assert trainer.rates == pytest.approx([0.3 * by_parts(index, 20, 1 - index / 10) for index in range(10)])
