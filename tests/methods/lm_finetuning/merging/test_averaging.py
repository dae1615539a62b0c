from collections.abc import Callable
from typing import Any

import pytest
import torch

from methods.lm_finetuning.merging._adapters import weighted_sum
from methods.lm_finetuning.merging.single_task_loras import SingleTaskLoRAs
from methods.lm_finetuning.merging.task_arithmetic import TaskArithmetic
from methods.lm_finetuning.merging.weight_averaging import WeightAveraging, mean_factors
from suites.lm_finetuning.lora import LoRA, merged, updates
from tests.methods.lm_finetuning.finetuning_toys import make, random_lora, toy_task

MakeTask = Callable[..., Any]


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_the_sum_of_loras_is_exact_whatever_their_ranks_and_scales() -> None:
    model = toy_task().model
    loras = [random_lora(model, 2, 0, 2.0), random_lora(model, 5, 1, 0.5)]
    found = updates(weighted_sum(loras, 0.7))
    for name, update in found.items():
        wanted = 0.7 * sum(updates(lora)[name] for lora in loras)
        assert torch.allclose(update, wanted, atol=1e-5)


def test_averaging_averages_the_models(merge_task: MakeTask) -> None:
    task = merge_task()
    found = make(WeightAveraging(), task)
    alone = torch.stack([weights(merged(task.model, updates(lora))) for lora in task.loras.values()])
    assert torch.allclose(weights(found.model), alone.mean(0), atol=1e-5)


def test_what_is_shipped_makes_the_model(merge_task: MakeTask) -> None:
    task = merge_task()
    found = make(TaskArithmetic(scale=1.0), task)
    parts = {part: {n[:-2]: t for n, t in found.shipped.items() if n.endswith(f".{part}")} for part in "ab"}
    assert torch.equal(weights(merged(task.model, updates(LoRA(parts["a"], parts["b"], 1.0)))), weights(found.model))


def test_factors_of_equal_loras_are_the_lora_and_of_different_ones_are_not_the_average() -> None:
    model = toy_task().model
    one, other = random_lora(model, 3, 0), random_lora(model, 3, 1)
    name = next(iter(one.a))
    assert torch.allclose(updates(mean_factors([one, one]))[name], updates(one)[name], atol=1e-6)
    mixed, average = updates(mean_factors([one, other]))[name], updates(weighted_sum([one, other], 0.5))[name]
    assert (mixed - average).norm() > 0.1 * average.norm()


def test_task_arithmetic_scales_the_sum(merge_task: MakeTask) -> None:
    task = merge_task()
    third = make(TaskArithmetic(scale=1 / 3), task)
    average = make(WeightAveraging(), task)
    assert torch.allclose(weights(third.model), weights(average.model), atol=1e-6)
    nothing = make(TaskArithmetic(scale=0.0), task)
    assert torch.equal(weights(nothing.model), weights(task.model))


@pytest.mark.parametrize("method", [WeightAveraging(), WeightAveraging(factors=True), TaskArithmetic()])
def test_it_is_for_merging_alone_and_the_base_stays(
    merge_task: MakeTask, method: WeightAveraging | TaskArithmetic
) -> None:
    task = merge_task()
    before = weights(task.model).clone()
    assert method.supports(task) is None
    make(method, task)
    assert torch.equal(weights(task.model), before)
    assert method.card.problems == ("merge",)


def test_averaging_of_factors_ships_their_means(merge_task: MakeTask) -> None:
    task = merge_task()
    found = make(WeightAveraging(factors=True), task)
    mean = mean_factors(list(task.loras.values()))
    assert torch.equal(weights(found.model), weights(merged(task.model, updates(mean))))
    assert not torch.allclose(weights(found.model), weights(make(WeightAveraging(), task).model), atol=1e-2)


def test_single_task_loras_answer_each_task_by_its_own(merge_task: MakeTask) -> None:
    task = merge_task()
    patch = SingleTaskLoRAs().build(task)
    assert patch.patches.keys() == task.loras.keys()
    for name, lora in task.loras.items():
        own = patch.patches[name].applied(task.model)
        assert torch.equal(weights(own), weights(merged(task.model, updates(lora))))
    assert len(patch.tensors) == 3 * 2 * len(lora.a)
