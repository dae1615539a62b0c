"""The step, its memory, and one more of it elsewhere: with nothing that has to do with tokens."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn

from suites._training.batch import Whole
from suites._training.learner import Moment
from suites._training.loop import train
from suites._training.memory import step_memory
from suites._training.rig import Rig
from suites._training.trainer import Trainer
from tests.suites._training.toys import WIDTH, Lines, Points, batches

MOMENT = Moment(0, 10)


def again(thing: Any) -> Any:
    """As it comes back from disk."""
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def weights(trainer: Trainer[Any]) -> torch.Tensor:
    return torch.cat([weight.detach().float().flatten() for weight in trainer.learner.model.parameters()])


@pytest.mark.parametrize("rows", [None, 8, 3, 1])
def test_fewer_rows_at_a_time_give_the_same_step(rows: int | None) -> None:
    whole, parts = Trainer(Lines()), Trainer(Lines(), rows)
    (batch,) = batches(1)
    assert parts.step(batch, 1e-2, MOMENT) == pytest.approx(whole.step(batch, 1e-2, MOMENT), rel=1e-5)
    torch.testing.assert_close(weights(parts), weights(whole))


def test_a_tensor_is_a_batch_of_its_elements() -> None:
    batch = Whole(torch.zeros(3, 4))
    assert batch.size == 12
    assert list(batch.parts(1)) == [(batch, 1.0)]


def test_hooks_are_called_in_their_order() -> None:
    learner = Lines()
    Trainer(learner).step(batches(1)[0], 1e-2, MOMENT)
    assert learner.called == ["before_step", "before_update", "after_update"]


def rig_of(trainer: Trainer[Any]) -> Rig[Points]:
    return Rig(again(trainer), "cpu", batches(1)[0], Points)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rig_makes_true_steps_that_leave_the_weights_where_they_are(dtype: torch.dtype) -> None:
    trainer = Trainer(Lines(dtype=dtype))
    train(trainer, batches(10), 0.05)
    rig, before = rig_of(trainer), weights(trainer)
    own = rig.candidate
    states = copy.deepcopy(own.optimizer.state_dict())  # type: ignore[union-attr]
    written = [weight._version for weight in own.learner.model.parameters()]
    batch = batches(1, seed=3)[0]
    for _ in range(4):
        loss = rig.step(*rig.place((batch.x.numpy(), batch.y.numpy())))
        assert loss == pytest.approx(float(trainer.learner.loss(batch).detach()), rel=1e-5)
    assert own.learner.called[-12:] == ["before_step", "before_update", "after_update"] * 4  # type: ignore[attr-defined]
    assert own.steps == 14
    torch.testing.assert_close(weights(own), before)
    assert [weight._version for weight in own.learner.model.parameters()] > written  # they were written to
    assert own.optimizer is not None
    assert int(own.optimizer.state_dict()["state"][0]["step"]) == int(states["state"][0]["step"]) + 4
    assert torch.equal(weights(trainer), before)


def test_a_rig_goes_on_from_the_step_that_the_training_ended_with() -> None:
    seen: list[Moment] = []

    class Watched(Lines):
        def before_step(self, moment: Moment) -> None:
            seen.append(moment)

    trainer = Trainer(Watched())
    train(trainer, batches(3), 0.05)
    rig = Rig(trainer, "cpu", batches(1)[0], Points)
    for _ in range(2):
        rig.step(batches(1)[0].x, batches(1)[0].y)
    assert [moment.step for moment in seen] == [0, 1, 2, 3, 4]
    assert all(moment.step < moment.steps for moment in seen)
    assert seen[-1].done == 1


def test_what_a_step_moves_whatever_its_rate_goes_back() -> None:
    model = nn.Sequential(nn.Linear(WIDTH, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    rig = rig_of(Trainer(Lines(model)))
    means = rig.candidate.learner.model[1].running_mean
    batch = batches(1, seed=3)[0]
    inputs = rig.place((batch.x.numpy(), batch.y.numpy()))
    losses = [rig.step(*inputs)]
    moved = means.clone()
    assert moved.any()
    for _ in range(3):
        inputs = rig.place((batch.x.numpy(), batch.y.numpy()))
        assert not means.any()
        losses.append(rig.step(*inputs))
        assert torch.equal(means, moved)
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rig_weighs_what_the_trainer_did(dtype: torch.dtype) -> None:
    trainer = Trainer(Lines(dtype=dtype))
    train(trainer, batches(4), 0.05)
    figures = rig_of(trainer).figures()
    memory = step_memory(trainer, batches(1)[0])
    count = sum(weight.numel() for weight in trainer.learner.trained())
    tensors = len(trainer.learner.trained())
    assert figures == {
        "trained_parameters": count,
        "training_memory": memory["total"],
        "training_memory.weights": memory["weights"],
        "training_memory.step": memory["step"],
        "optimizer_bytes": memory["optimizer"],
    }
    copies = 0 if dtype == torch.float32 else 4 * count
    assert memory["weights"] == count * (4 if dtype == torch.float32 else 2)
    assert memory["optimizer"] == 8 * count + 4 * tensors + copies
    assert memory["total"] == memory["weights"] + memory["optimizer"] + memory["step"]
