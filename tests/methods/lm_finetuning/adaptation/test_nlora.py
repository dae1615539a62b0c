"""NLoRA: three factors that start as a Nyström approximation."""

import pytest
import torch
from torch import Tensor, nn

from methods.lm_finetuning.adaptation.nlora import NLoRA
from suites._language.adapters import decoder_linears
from tests.methods.lm_finetuning.finetuning_toys import make, toy_task


def layer(rows: int = 12, columns: int = 9) -> tuple[nn.Linear, Tensor]:
    torch.manual_seed(0)
    made = nn.Linear(columns, rows, bias=False).requires_grad_(False)
    return made, made.weight.detach()


def product(method: NLoRA, base: nn.Linear, rank: int) -> Tensor:
    factors = method.around(base, rank, torch.Generator()).trained
    return (factors["b"] @ factors["n"] @ factors["a"]).detach()


def test_the_start_is_the_nystrom_approximation() -> None:
    """Which keeps the rows and columns that it is made of, and the whole matrix where that has no more rank."""
    base, weight = layer()
    approximation = weight[:, :4] @ torch.linalg.pinv(weight[:4, :4]) @ weight[:4]
    assert torch.allclose(product(NLoRA(), base, 4), approximation, atol=1e-4)
    assert torch.allclose(product(NLoRA(), base, 4)[:4], weight[:4], atol=1e-4)
    assert torch.allclose(product(NLoRA(), base, 4)[:, :4], weight[:, :4], atol=1e-4)
    base.weight.copy_(torch.randn(12, 3) @ torch.randn(3, 9))
    assert torch.allclose(product(NLoRA(), base, 3), base.weight, atol=1e-3)
    assert not torch.allclose(product(NLoRA(inverse=False), base, 3), base.weight, atol=1e-1)


@pytest.mark.parametrize("settings", NLoRA.variants.values(), ids=NLoRA.variants)
def test_nothing_is_added_at_the_start_and_the_update_is_what_the_layer_adds(settings: dict[str, object]) -> None:
    base, weight = layer()
    adapted = NLoRA(**settings).around(base, 4, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    x = torch.randn(5, 9)
    assert torch.allclose(adapted(x), x @ weight.T, atol=1e-4)
    with torch.no_grad():
        for factor in adapted.trained.values():
            factor.add_(0.1)
    assert not torch.allclose(adapted(x), x @ weight.T, atol=1e-2)
    assert torch.allclose(adapted(x), x @ (weight + adapted.update()).T, atol=1e-3)


def test_without_the_nystrom_start_nothing_of_the_weight_is_in_the_factors() -> None:
    base, weight = layer()
    factors = NLoRA(nystrom=False).around(base, 4, torch.Generator().manual_seed(1)).trained
    assert not factors["b"].any()
    assert not torch.allclose(factors["a"], weight[:4], atol=1e-2)
    assert factors["n"].any()


def test_a_rank_above_a_layer_s_side_is_that_side() -> None:
    base, weight = layer()
    assert torch.allclose(product(NLoRA(), base, 64), weight, atol=1e-3)


def test_inttune_trains_and_ships_the_middle_alone() -> None:
    task = toy_task(tokens=300)
    tuned = make(NLoRA(middle=True, rank=16, rate=1e-2), task)
    count = 16 * 16 * len(decoder_linears(task.model))
    assert sum(tensor.numel() for tensor in tuned.shipped.values()) == count
    assert sum(weight.numel() for weight in tuned.trainer.learner.trained()) == count
    name = decoder_linears(task.model)[0]
    weight = task.model.get_submodule(name).weight.detach()
    moved = tuned.shipped[f"{name}.n"] - torch.linalg.pinv(weight[:16, :16])
    added = tuned.model.get_submodule(name).weight - weight
    assert added.abs().max() > 1e-3
    assert torch.allclose(added, weight[:, :16] @ moved @ weight[:16], atol=1e-4)


@pytest.mark.parametrize("allowed", [None, 0.05, 0.01])
def test_a_smaller_update_takes_larger_steps(allowed: float | None) -> None:
    task = toy_task(result={} if allowed is None else {"shipped_ratio": allowed})
    tuned = make(NLoRA(rank=4, rate=1e-3), task)
    middles = [each for name, each in tuned.shipped.items() if name.endswith(".n")]
    trained = sum(len(each) for each in middles)
    every = len(decoder_linears(task.model))
    assert (len(middles), trained) == (every, 4 * every) if allowed is None else trained < 4 * every
    assert tuned.figures["learning_rate"] == pytest.approx(1e-3 * 4 * every / trained)
