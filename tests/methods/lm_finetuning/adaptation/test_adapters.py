"""What every method of low rank must keep: where it starts, what it ships, what it leaves alone."""

from functools import cache
from typing import Any

import pytest
import torch

from bench.contract import Method
from methods.lm_finetuning.adaptation.adalora import AdaLoRA
from methods.lm_finetuning.adaptation.dora import DoRA
from methods.lm_finetuning.adaptation.increlora import IncreLoRA
from methods.lm_finetuning.adaptation.kasa import KaSA
from methods.lm_finetuning.adaptation.lora import LoRAControl
from methods.lm_finetuning.adaptation.nlora import NLoRA
from methods.lm_finetuning.adaptation.pissa import PiSSA
from methods.lm_finetuning.adaptation.smora import SMoRA
from suites._training.loop import validation_loss
from suites.lm_finetuning.learning import AnswerLearner, answer_loss
from tests.methods.lm_finetuning.finetuning_toys import Made, make, problem_of, toy_task, written_and_read

SETTINGS: dict[str, Any] = {"rank": 4, "rates": (3e-3,)}
STARTS_AS_THE_BASE: list[Method[Any]] = [
    LoRAControl(**SETTINGS),
    PiSSA(**SETTINGS),
    DoRA(**SETTINGS),
    AdaLoRA(**SETTINGS),
    KaSA(truncate="none", **SETTINGS),
    NLoRA(rank=4, rate=1e-4),
    NLoRA(rank=4, rate=3e-3, nystrom=False),
    SMoRA(rank=8, active=2, rate=3e-3),
    SMoRA(rank=8, active=4, partition=2, rate=3e-3),
    IncreLoRA(rank=4, rate=3e-3),
]
EVERY: list[Method[Any]] = [*STARTS_AS_THE_BASE, KaSA(**SETTINGS)]


def named(method: Method[Any]) -> str:
    return type(method).__name__


def build(method: Method[Any], task: Any) -> Made:
    assert method.supports(task) is None
    return make(method, task)


@cache
def built(method: Method[Any]) -> tuple[Any, Made]:
    task = toy_task(tokens=500)
    return task, build(method, task)


def assert_equal(left: Any, right: Any) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("method", STARTS_AS_THE_BASE, ids=named)
def test_the_first_step_is_the_base(method: Method[Any]) -> None:
    task, tuned = built(method)
    before = validation_loss(AnswerLearner(task.copied()), task.validation())
    assert tuned.validation[0] == pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize("method", EVERY, ids=named)
def test_the_scored_model_is_the_trained_one_and_moved(method: Method[Any]) -> None:
    task, tuned = built(method)
    batch = task.validation()[0]
    with torch.no_grad():
        trained = float(tuned.trainer.learner.loss(batch))
        assert float(answer_loss(tuned.model, batch)) == pytest.approx(trained, abs=1e-3)
        assert float(answer_loss(task.model, batch)) != trained


@pytest.mark.parametrize("method", EVERY, ids=named)
def test_the_same_seed_gives_the_same_model_and_leaves_base_and_generator_alone(method: Method[Any]) -> None:
    task, first = built(method)
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    second = build(method, toy_task(tokens=500))
    assert torch.equal(state, torch.random.get_rng_state())
    assert_equal(first.model.state_dict(), second.model.state_dict())
    assert_equal(first.shipped, second.shipped)
    assert_equal(task.model.state_dict(), toy_task().model.state_dict())


@pytest.mark.parametrize("method", EVERY, ids=named)
def test_no_more_is_shipped_than_allowed(method: Method[Any]) -> None:
    task = toy_task(tokens=150, result={"shipped_ratio": 0.02})
    shipped = sum(tensor.numel() for tensor in build(method, task).shipped.values())
    assert 0 < shipped <= 0.02 * sum(p.numel() for p in task.model.parameters())


@pytest.mark.parametrize("method", EVERY, ids=named)
def test_a_base_of_16_bits_stays_one_and_the_update_has_32(method: Method[Any]) -> None:
    task = toy_task(tokens=150, dtype=torch.bfloat16)
    tuned = build(method, task)
    assert {p.dtype for p in tuned.trainer.learner.trained()} == {torch.float32}
    names = dict(task.model.named_parameters())
    assert all(p.dtype == torch.bfloat16 for name, p in tuned.model.named_parameters() if name in names)


@pytest.mark.parametrize("method", EVERY, ids=named)
def test_the_training_can_be_gone_on_with_elsewhere(method: Method[Any]) -> None:
    """Once it was written to disk: one more step, and the loss is still that of the model that is shipped."""
    task, tuned = built(method)
    rig = problem_of("adapt").serve_rig(written_and_read(tuned.trainer), task)
    batch = task.validation()[0]
    before = {name: weight.clone() for name, weight in rig.candidate.learner.model.named_parameters()}
    for _ in range(3):
        loss = rig.step(*rig.place(batch.arrays))
        with torch.no_grad():
            assert loss == pytest.approx(float(answer_loss(tuned.model, batch)), abs=1e-3)
    after = dict(rig.candidate.learner.model.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.allclose(after[name], weight, atol=1e-6) for name, weight in before.items())
    figures = rig.figures()
    assert figures["training_memory"] / task.full_memory == pytest.approx(task.memory_ratio(tuned.trainer))
    assert figures["trained_parameters"] == sum(weight.numel() for weight in tuned.trainer.learner.trained())
