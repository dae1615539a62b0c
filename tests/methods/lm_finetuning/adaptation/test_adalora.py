"""AdaLoRA: ends on its budget, whatever the schedule was."""

from typing import Any

import pytest
import torch

from methods._techniques.orthogonality import distance_from_orthonormal
from methods.lm_finetuning.adaptation._rank import shipped_parameters, with_singular_values
from methods.lm_finetuning.adaptation.adalora import AdaLoRA, Masked
from suites._language.adapters import decoder_linears
from tests.methods.lm_finetuning.finetuning_toys import make, toy_task


def shipped(method: AdaLoRA, task: Any) -> tuple[Any, int]:
    tuned = make(method, task)
    return tuned, sum(tensor.numel() for tensor in tuned.shipped.values())


@pytest.mark.parametrize("tokens", [150, 2000])
def test_no_more_is_kept_than_a_lora_of_the_average_rank_has(tokens: int) -> None:
    """Even of a training of one step, or where ranks gather in wide layers."""
    task = toy_task(tokens=tokens)
    tuned, count = shipped(AdaLoRA(rank=4, rate=1e-2), task)
    most = shipped_parameters(task, decoder_linears(task.model), 4, with_singular_values)
    assert 0.9 * most < count <= most
    ranks = {name: tensor.shape[1] for name, tensor in tuned.shipped.items() if name.endswith(".b")}
    assert max(ranks.values()) <= 6
    if tokens > 1000:
        assert len(set(ranks.values())) > 1  # allotted, not the same everywhere


def test_the_kept_triplets_are_all_that_was_merged() -> None:
    task = toy_task(tokens=1000)
    method = AdaLoRA(rank=4, rate=1e-2)
    tuned, _ = shipped(method, task)
    for name in decoder_linears(task.model):
        a, e, b = (tuned.shipped[f"{name}.{part}"] for part in "aeb")
        added = tuned.model.get_submodule(name).weight - task.model.get_submodule(name).weight
        assert torch.allclose(added, method.alpha_over_rank * b @ (a * e[:, None]), atol=1e-5)


def test_the_penalty_is_zero_of_orthonormal_factors_alone() -> None:
    q, _ = torch.linalg.qr(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    assert float(distance_from_orthonormal([(q.T, q)])) == pytest.approx(0, abs=1e-5)
    assert float(distance_from_orthonormal([(2 * q.T, q)])) == pytest.approx(0.5 * 3 * 3**0.5, rel=1e-4)


def test_triplets_go_little_by_little_while_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets, mask = [], Masked._mask
    monkeypatch.setattr(Masked, "_mask", lambda self, budget: budgets.append(budget) or mask(self, budget))
    task = toy_task(tokens=2000)
    make(AdaLoRA(rank=4, rate=1e-2), task)
    assert budgets == sorted(budgets, reverse=True)
    assert budgets[0] > 4 * len(decoder_linears(task.model)) >= budgets[-1]


def test_what_is_built_was_held_near_orthonormal_by_the_weight_that_it_is_told() -> None:
    task = toy_task(tokens=150)
    learner = make(AdaLoRA(rank=4, orthogonality=0.7, rate=1e-2), task).trainer.learner
    assert isinstance(learner, Masked)
    factors = [(each.lora_A["default"], each.lora_B["default"]) for each in learner.layers().values()]
    distance = float(distance_from_orthonormal(factors))
    assert distance > 0
    assert float(learner.penalty()) == pytest.approx(0.7 * distance)
