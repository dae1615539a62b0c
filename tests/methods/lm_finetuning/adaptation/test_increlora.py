"""IncreLoRA: ranks are given where they matter, up to the budget and no further."""

from typing import Any

import pytest
import torch

from methods._techniques.orthogonality import distance_from_orthonormal
from methods.lm_finetuning.adaptation._rank import shipped_parameters, with_singular_values
from methods.lm_finetuning.adaptation.increlora import Growing, IncreLoRA
from suites._language.adapters import decoder_linears
from suites._training.learner import Moment
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.lm_finetuning.learning import answer_loss
from tests.methods.lm_finetuning.finetuning_toys import make, toy_task


def started(rank: int = 4, **fields: Any) -> tuple[Any, Growing]:
    task = toy_task()
    return task, IncreLoRA(rank=rank, **fields).start(task, decoder_linears(task.model), rank)


@pytest.mark.parametrize(("tokens", "rank", "gain"), [(150, 4, None), (1200, 4, None), (600, 5, 3), (600, 2, 1)])
def test_it_ends_exactly_on_its_budget_of_ranks_within_the_parameters_of_a_lora(
    tokens: int, rank: int, gain: int | None
) -> None:
    task = toy_task(tokens=tokens)
    tuned = make(IncreLoRA(rank=rank, gain=gain, rate=1e-2), task)
    targets = decoder_linears(task.model)
    ranks = [len(tensor) for name, tensor in tuned.shipped.items() if name.endswith(".e")]
    assert sum(ranks) == rank * len(targets)
    assert len(set(ranks)) > 1
    shipped = sum(tensor.numel() for tensor in tuned.shipped.values())
    assert shipped <= shipped_parameters(task, targets, rank, with_singular_values)


def test_it_starts_at_rank_1_and_gives_ranks_only_when_they_are_due() -> None:
    _, learner = started()
    assert all(layer.rank == 1 for layer in learner.layers.values())
    seen = []
    for step in range(10):
        learner.after_update(Moment(step, 10, step / 10))
        seen.append(learner.ranks / len(learner.layers))
    assert seen[:2] == [1, 1]
    assert seen[6:] == [4, 4, 4, 4]
    assert seen == sorted(seen)
    assert len(set(seen)) > 4


def test_the_most_important_layers_get_them() -> None:
    _, learner = started(warm_up=0.0)
    names = list(learner.layers)
    for name in names[10:13]:
        learner.layers[name].sensed.fill_(1.0)
    learner.before_update(Moment(0, 10))
    learner._grow(6)
    assert [n for n, layer in learner.layers.items() if layer.rank > 1] == names[10:13]


def test_importance_is_the_smoothed_sensitivity_times_how_much_it_varies() -> None:
    """A layer that is always sensitive goes after one that is less so on average, and varies."""
    _, learner = started(warm_up=0.0, gain=2)
    steady, varied = list(learner.layers)[4], list(learner.layers)[20]
    for step in range(40):
        learner.layers[steady].sensed.fill_(1.2)
        learner.layers[varied].sensed.fill_(0.0 if step % 2 else 2.0)
        learner.before_update(Moment(step, 50))
        assert not any(layer.sensed for layer in learner.layers.values())
    assert learner._mean[steady] > learner._mean[varied]
    learner._grow(2)
    assert [name for name, layer in learner.layers.items() if layer.rank > 1] == [varied]


def test_sensitivity_and_its_deviation_are_smoothed_over_the_steps() -> None:
    _, learner = started(smoothing=0.75)
    name, layer = next(iter(learner.layers.items()))
    for sensed in (4.0, 8.0):
        layer.sensed.fill_(sensed)
        learner.before_update(Moment(0, 10))
    assert learner._mean[name] == pytest.approx(0.75 * 1.0 + 0.25 * 8.0)
    assert learner._deviation[name] == pytest.approx(0.75 * 0.25 * (4.0 - 1.0) + 0.25 * (8.0 - 2.75))


def test_a_layer_gets_half_of_the_average_rank_at_a_time_and_is_held_near_orthonormal() -> None:
    for fields, gain in (({}, 3), ({"gain": 2}, 2)):
        _, learner = started(rank=6, orthogonality=0.3, **fields)
        assert {layer.gain for layer in learner.layers.values()} == {gain}
    factors = [layer.factors() for layer in learner.layers.values()]
    distance = float(distance_from_orthonormal((a, b) for a, _, b in factors))
    assert float(learner.penalty()) == pytest.approx(0.3 * distance)
    assert distance > 0


def test_giving_ranks_changes_nothing_of_what_the_model_does() -> None:
    task, learner = started()
    train(Trainer(learner), task.training()[:2], 1e-2)
    batch = task.validation()[0]
    with torch.no_grad():
        before = answer_loss(learner.model, batch)
        learner._grow(40)
        assert float(answer_loss(learner.model, batch)) == pytest.approx(float(before), abs=1e-5)
        learner.settle()
        assert float(answer_loss(learner.model, batch)) == pytest.approx(float(before), abs=1e-3)


def test_sensitivity_is_that_of_the_whole_update() -> None:
    """Its gradient found by autograd, with the update as a weight of its own."""
    task, learner = started()
    train(Trainer(learner), task.training()[:2], 1e-2)
    name, layer = next(iter(learner.layers.items()))
    batch = task.validation()[0]
    layer.sensed.zero_()
    learner.loss(batch).backward()
    other = task.copied()
    for each, of in learner.layers.items():
        weight = other.get_submodule(each).weight
        weight.copy_(weight + of.update())
    weight = other.get_submodule(name).weight.requires_grad_(True)
    answer_loss(other, batch).backward()
    wanted = (layer.update() * weight.grad).abs().sum() / weight.numel() ** 0.5
    assert float(layer.sensed) == pytest.approx(float(wanted), rel=1e-3)


def test_ranks_held_ready_train_but_for_their_singular_values() -> None:
    task, learner = started(orthogonality=0.0)
    layer = next(iter(learner.layers.values()))
    ready = [part[-1].detach().clone() for part in (layer.a, layer.e, layer.b)]
    train(Trainer(learner), task.training()[:1], 1e-2)  # the first step moves E, the next what hangs on it
    assert torch.equal(layer.e[-1], ready[1])
    assert not torch.equal(layer.a[-1], ready[0])
    assert not torch.equal(layer.b[-1], ready[2])
    given, _, _ = layer.grow(2)
    assert given.requires_grad
    assert not layer.e[-1].requires_grad


def test_what_is_new_warms_up_for_itself_and_what_is_old_keeps_its_state() -> None:
    task, learner = started(restart=4, warm_up=0.0, grown=1.0, rounds=1)
    trainer, batch = Trainer(learner), task.training()[0]
    trainer.step(batch, 1e-3, Moment(0, 10, 0.0))
    old = dict(trainer.optimizer.state)  # type: ignore[union-attr]
    learner._grow(2)
    scales = []
    for step in range(1, 5):
        trainer.step(batch, 1e-3, Moment(step, 10, 0.0))
        scales.append([group["scale"] for group in trainer.optimizer.param_groups])  # type: ignore[union-attr]
    assert [each[0] for each in scales] == [1.0] * 4
    assert [each[1] for each in scales] == [0.25, 0.5, 0.75, 1.0]
    assert all(trainer.optimizer.state[weight] is state for weight, state in old.items())  # type: ignore[union-attr]
