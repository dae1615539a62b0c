from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.lm_finetuning.merging.ties import TIES, change, elected_mean, least_kept
from suites.lm_finetuning.lora import merged, updates
from tests.methods.lm_finetuning.finetuning_toys import make, random_lora

MakeTask = Callable[..., Any]


def rows(*values: list[float]) -> list[Tensor]:
    return [torch.tensor([each]) for each in values]


def test_a_toy_by_hand() -> None:
    changes = rows([4.0, -3.0, 1.0, 0.2], [2.0, 5.0, -3.0, 0.1], [-1.0, 4.0, 2.0, 0.3])
    # half of each task's four changes are kept: 4 -3 0 0 / 0 5 -3 0 / 0 4 2 0
    floors = [least_kept([each], 0.5) for each in changes]
    assert floors == [3.0, 3.0, 2.0]
    # signs of the sums: + (4), + (6), - (-1), none; means over those that have the sign
    assert elected_mean(changes, floors).tolist() == [[4.0, 4.5, -3.0, 0.0]]


def test_trimming_is_over_the_whole_model() -> None:
    changes = rows([0.1, 0.2, 0.3], [10.0, 20.0, 30.0])
    assert least_kept(changes, 0.5) == 10.0
    assert least_kept(changes, 1.0) == pytest.approx(0.1)


def test_equal_loras_without_trimming_are_the_lora(merge_task: MakeTask) -> None:
    task = merge_task()
    lora = random_lora(task.model, 4, 9)
    task.loras = {"one": lora, "two": lora}
    found = make(TIES(density=1.0), task)
    wanted = merged(task.model, updates(lora))
    for name, weight in wanted.named_parameters():
        assert torch.allclose(found.model.get_parameter(name), weight, atol=1e-6), name


def test_the_density_is_of_each_tasks_changes(merge_task: MakeTask) -> None:
    task = merge_task()
    task.loras = {"one": random_lora(task.model, 4, 9)}
    found = make(TIES(density=0.2), task)
    layers = list(task.loras["one"].a)
    moved = [found.model.get_submodule(n).weight != task.model.get_submodule(n).weight for n in layers]
    total = sum(each.numel() for each in moved)
    assert sum(int(each.sum()) for each in moved) == pytest.approx(0.2 * total, rel=1e-3)
    kept = torch.cat([change(task.loras["one"], n)[m].abs() for n, m in zip(layers, moved, strict=True)])
    cut = torch.cat([change(task.loras["one"], n)[~m].abs() for n, m in zip(layers, moved, strict=True)])
    assert kept.min() > cut.max() - 1e-6
    assert set(found.shipped) == {f"{name}.weight" for name in layers}


def test_what_is_built_is_the_merge_by_hand(merge_task: MakeTask) -> None:
    """Trimmed over the model, then a sign for each weight, then the mean of what has it; weight by weight."""
    task = merge_task()
    found = make(TIES(density=0.3, scale=2.0), task)
    each = [updates(lora) for lora in task.loras.values()]
    changes = {name: torch.stack([of[name] for of in each]) for name in each[0]}
    flat = torch.cat([rows.flatten(1) for rows in changes.values()], 1)
    floors = flat.abs().sort(1).values[:, -round(0.3 * flat.shape[1])]
    told = 0
    for name, whole in changes.items():
        trimmed = whole * (whole.abs() >= floors[:, None, None])
        signs = trimmed.sum(0).sign()
        agree = (trimmed.sign() == signs) & (trimmed != 0)
        mean = (trimmed * agree).sum(0) / agree.sum(0).clamp_min(1)
        wanted = task.model.get_submodule(name).weight + 2.0 * mean
        torch.testing.assert_close(found.shipped[f"{name}.weight"], wanted, rtol=1e-4, atol=1e-5)
        told += int(((whole.sum(0).sign() != signs) & (signs != 0)).sum())
    assert told > 100  # that untrimmed changes would have given another sign


def test_it_is_for_merging_alone(merge_task: MakeTask) -> None:
    task = merge_task()
    assert TIES().supports(task) is None
    assert TIES.card.problems == ("merge",)
