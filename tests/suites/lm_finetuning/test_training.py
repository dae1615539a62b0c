"""Learning to answer, what it takes, and what a LoRA is once it is merged."""

import copy
from typing import Any

import pytest
import torch

from suites._language.adapters import with_lora
from suites._language.toy import toy_model
from suites._training.learner import Moment
from suites._training.loop import train
from suites._training.memory import step_memory
from suites._training.trainer import Trainer
from suites.lm_finetuning.learning import AnswerLearner, answer_loss
from suites.lm_finetuning.lora import merged, read_lora, updates
from tests.methods.lm_finetuning.finetuning_toys import toy_task

MOMENT = Moment(0, 10)


def full(task: Any) -> AnswerLearner:
    return AnswerLearner(task.copied().requires_grad_(True))


def test_fewer_rows_at_a_time_give_the_same_step() -> None:
    task = toy_task()
    batch = task.training()[0]
    moved = []
    with torch.no_grad():
        expected = float(answer_loss(task.model, batch))
    for rows in (None, 3, 1):
        trainer = Trainer(full(task), rows)
        loss = trainer.step(batch, 1e-3, MOMENT)
        assert loss == pytest.approx(expected, rel=1e-5)
        trainer.probe(batch)
        moved.append(torch.cat([weight.detach().flatten() for weight in trainer.learner.trained()]))
    for other in moved[1:]:  # Adam turns rounding of a gradient near zero into a part of a step
        assert float((moved[0] - other).abs().mean()) < 1e-5


def test_a_step_is_one_of_adamw_on_the_clipped_gradient() -> None:
    task = toy_task()
    batch = task.training()[0]
    trainer = Trainer(full(task))
    trainer.step(batch, 1e-3, MOMENT)
    reference = task.copied().requires_grad_(True)
    answer_loss(reference, batch).backward()
    torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
    torch.optim.AdamW(reference.parameters(), lr=1e-3, weight_decay=0.0).step()
    for ours, theirs in zip(trainer.learner.trained(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_steps_too_small_for_16_bits_add_up() -> None:
    task = toy_task(model=toy_model().bfloat16())
    trainer = Trainer(full(task))
    before = [weight.clone() for weight in trainer.learner.trained()]
    for _ in range(20):
        trainer.step(task.validation()[0], 1e-5, MOMENT)
    pairs = zip(trainer.pairs, before, strict=True)
    assert any(not torch.equal(weight, old) for (_, weight), old in pairs)
    assert all(torch.equal(master.bfloat16(), weight) for master, weight in trainer.pairs)


def test_what_no_longer_trains_loses_its_state_and_the_rest_keeps_it() -> None:
    task = toy_task()
    learner = full(task)
    chosen = learner.trained()[:4]
    learner.trained = lambda: chosen  # type: ignore[method-assign]
    trainer = Trainer(learner)
    batch = task.training()[0]
    trainer.step(batch, 1e-3, MOMENT)
    assert trainer.optimizer_bytes == sum(2 * 4 * weight.numel() + 4 for weight in chosen)
    chosen = chosen[2:]
    trainer.step(batch, 1e-3, MOMENT)
    assert trainer.optimizer_bytes == sum(2 * 4 * weight.numel() + 4 for weight in chosen)
    assert [int(state["step"]) for state in trainer.optimizer.state.values()] == [2, 2]


def test_a_probe_moves_no_weight() -> None:
    task = toy_task()
    trainer = Trainer(full(task))
    trainer.step(task.training()[0], 1e-3, MOMENT)
    before = copy.deepcopy(trainer.learner.model.state_dict())
    trainer.probe(task.validation()[0])
    assert all(torch.equal(before[name], now) for name, now in trainer.learner.model.state_dict().items())


def test_training_lowers_the_validation_loss_and_keeps_the_curve() -> None:
    task = toy_task(tokens=3000)
    batches = task.training()
    curve = train(Trainer(full(task)), batches, 1e-3, validation=task.validation())
    assert curve.validation[-1] < curve.validation[0]
    assert len(curve.validation) == len(curve.sizes) == 5
    assert curve.sizes[0] == 0
    assert curve.sizes[-1] == sum(batch.tokens for batch in batches)


def test_a_training_stops_when_its_time_is_over() -> None:
    task = toy_task(tokens=60_000, most_tokens=60_000)
    curve = train(Trainer(full(task)), task.training(), 1e-4, validation=task.validation(), seconds=0.5)
    assert 0 < curve.sizes[-1] < 55_000
    assert curve.seconds[-1] < 5


def test_a_diverging_training_is_an_error() -> None:
    task = toy_task(tokens=3000)
    with pytest.raises(FloatingPointError, match="learning rate"):
        train(Trainer(full(task)), task.training(), 1e30)


def test_memory_of_a_step_is_the_sum_of_its_parts() -> None:
    task = toy_task()
    weights = sum(weight.numel() * 4 for weight in task.model.parameters())
    tensors = len(list(task.model.parameters()))
    memory = step_memory(Trainer(full(task)), task.validation()[0])
    assert memory["weights"] == pytest.approx(weights, rel=1e-3)
    assert memory["optimizer"] == 2 * weights + 4 * tensors
    assert memory["step"] > weights  # all gradients are there before the update
    assert memory["total"] == memory["weights"] + memory["optimizer"] + memory["step"]
    assert memory == step_memory(Trainer(full(task)), task.validation()[0])


def test_what_does_not_train_and_fewer_rows_need_less_memory() -> None:
    task = toy_task()

    def lora() -> AnswerLearner:
        return AnswerLearner(with_lora(task.copied(), rank=2, alpha=4.0, seed=0))

    assert task.memory_ratio(Trainer(full(task))) == 1
    assert task.memory_ratio(Trainer(lora(), 1)) < task.memory_ratio(Trainer(lora())) < 1


def test_a_merged_lora_is_the_adapted_model() -> None:
    task = toy_task()
    adapted = with_lora(task.copied(), rank=3, alpha=6.0, seed=1)
    train(Trainer(AnswerLearner(adapted)), task.training(), 3e-3)
    found = read_lora(adapted)
    ids = task.validation()[0].input_ids
    with torch.no_grad():
        wanted, got = adapted(input_ids=ids).logits, merged(task.model, updates(found))(input_ids=ids).logits
        base = task.model(input_ids=ids).logits
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert float((got - base).abs().max()) > 1e-3
    assert sum(t.numel() for t in found.tensors.values()) == sum(w.numel() for w in AnswerLearner(adapted).trained())
