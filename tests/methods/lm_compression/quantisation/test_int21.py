"""Corrections beside packed weights: gradients, what is kept for them, and the whole method on the toy model."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from methods._techniques.correction import CorrectedLinear, ThroughPacked, add_corrections, widened
from methods._techniques.grid import nearest
from methods.lm_compression._recovery import distillation_loss, next_token_loss
from methods.lm_compression.quantisation._precision import (
    block_linears,
    borrowing_copy,
    replace_linear,
    round_embeddings,
)
from methods.lm_compression.quantisation.gptq import GPTQ
from methods.lm_compression.quantisation.int21 import INT21
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import divergence, drawn, fittings, limited, next_token, text_of

Make = Callable[..., CausalLMTask]


def rounded(task: CausalLMTask, bits: int) -> Any:
    candidate = borrowing_copy(task.model)
    round_embeddings(candidate, bits, 64, clip=False)
    for name in block_linears(task.model):
        replace_linear(candidate, name, nearest(task.model.get_submodule(name).weight, bits, 64, clip=False))
    return candidate.requires_grad_(False)


def sample(task: CausalLMTask, tokens: int = 64) -> torch.Tensor:
    return text_of(task)[: 2 * tokens].view(2, tokens)


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_gradients_are_those_of_the_dense_product(bits: int) -> None:
    generator = torch.Generator().manual_seed(0)
    holder = nn.Sequential(nn.Linear(64, 48))
    holder[0].weight.data = torch.randn(48, 64, generator=generator)
    replace_linear(holder, "0", nearest(holder[0].weight.detach(), bits, 32, clip=False))
    layer = CorrectedLinear(holder[0], torch.randn(4, 64, generator=generator), alpha=8)
    layer.up.data = torch.randn(48, 4, generator=generator)
    x = torch.randn(2, 30, 64, generator=generator, requires_grad=True)
    other = x.detach().clone().requires_grad_()
    up, down = (weight.detach().clone().requires_grad_() for weight in (layer.up, layer.down))
    dense = other @ (widened(holder[0]) + 2 * up @ down).T + holder[0].bias
    torch.testing.assert_close(layer(x), dense, rtol=1e-4, atol=1e-4)
    weights = torch.randn(dense.shape, generator=generator)
    (layer(x) * weights).sum().backward()
    (dense * weights).sum().backward()
    for mine, wanted in ((x, other), (layer.up, up), (layer.down, down)):
        torch.testing.assert_close(mine.grad, wanted.grad, rtol=1e-4, atol=1e-3)


def kept_for_backward(model: Any, ids: torch.Tensor) -> list[torch.Tensor]:
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        next_token_loss(model, ids)
    return kept


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_no_float_weight_is_kept_for_the_backward_pass(toy_task: Make, bits: int) -> None:
    task = toy_task(model=toy_task().model.float())
    model = rounded(task, bits)
    add_corrections(model, block_linears(task.model), 3, 8, torch.float32, seed=0)
    activations = {2 * 50, 2 * 49}  # rows of all tokens, and of those that have a next one

    def float_weights() -> list[tuple[int, ...]]:
        """Matrices that are kept, but for activations and what the corrections are made of."""
        kept = [tuple(one.shape) for one in kept_for_backward(model, sample(task, 50)) if one.is_floating_point()]
        return [shape for shape in kept if len(shape) == 2 and activations.isdisjoint(shape) and min(shape) > 3]

    assert float_weights()  # the head alone, as autograd would have it
    model.set_submodule("lm_head", ThroughPacked(model.lm_head))
    assert not float_weights()


@pytest.mark.parametrize("bits", [8, 3])
def test_corrections_start_at_nothing_and_the_seed_says_where(toy_task: Make, bits: int) -> None:
    task = toy_task()
    plain, corrected, again, other = (rounded(task, bits) for _ in range(4))
    for model, seed in ((corrected, 1), (again, 1), (other, 2)):
        add_corrections(model, block_linears(task.model), 4, 16, torch.bfloat16, seed)
    with torch.no_grad():
        assert torch.equal(plain(sample(task)).logits, corrected(sample(task)).logits)
    drawn = [dict(model.named_parameters()) for model in (corrected, again, other)]
    assert all(torch.equal(value, drawn[1][name]) for name, value in drawn[0].items())
    assert any(not torch.equal(value, drawn[2][name]) for name, value in drawn[0].items())
    assert {name.rsplit(".", 1)[-1] for name, value in drawn[0].items() if value.requires_grad} == {"up", "down"}


def test_the_correction_brings_the_distribution_back(toy_task: Make) -> None:
    task = toy_task()
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    plain = GPTQ(bits=2, samples=8, length=128).build(toy_task())
    corrected = INT21(bits=2, samples=8, length=128, learning_rate=5e-3).build(task)
    ids = sample(task, 128)
    with torch.no_grad():
        lost, left = (float(distillation_loss(model, task.model, ids)) for model in (plain, corrected))
    assert left < 0.8 * lost
    assert drawn(task)["training_tokens"] > 0
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())
    assert not any(weight.requires_grad for weight in corrected.parameters())
    assert not any(isinstance(module, ThroughPacked) for module in corrected.modules())
    out = corrected.generate(ids[:1, :6], max_new_tokens=4, do_sample=False)
    assert out.shape == (1, 10)


def test_the_limit_counts_the_corrections(toy_task: Make) -> None:
    task = toy_task(stored_ratio=0.55)
    method = INT21()
    assert method.supports(task) is None
    precision = method._precision(task)
    assert task.weigh(method._blank(task, precision))["stored_ratio"] <= 0.55
    model = rounded(task, 4)
    without = task.weigh(model)["stored_bytes"]
    add_corrections(model, block_linears(task.model), 8, 32, torch.bfloat16, seed=0)
    sizes = sum(sum(task.model.get_submodule(name).weight.shape) for name in block_linears(task.model))
    assert task.weigh(model)["stored_bytes"] - without >= 2 * 8 * sizes
    tight = toy_task(stored_ratio=0.2)
    assert "still" in str(method.supports(tight))
    assert "needs a limit" in str(method.supports(limited(task)))
    assert "flops_ratio" in str(method.supports(limited(task, flops_ratio=0.75)))


def test_what_is_trained_is_gptq_s_model_by_what_the_variant_says(
    toy_task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The divergence from the float model, in this direction, and a share of the usual loss; or that alone."""
    trained = fittings(monkeypatch, "methods.lm_compression.quantisation.int21")
    task = toy_task(model=toy_task().model.float())
    ids = sample(task, 32)
    plain = GPTQ(bits=2, samples=4, length=64).build(toy_task(model=task.model))
    for settings in ({"share": 0.3}, INT21.variants["qlora"]):
        model = INT21(bits=2, samples=4, length=64, **settings).build(toy_task(model=task.model))
        (training,) = trained
        trained.clear()
        assert training.model is model
        with torch.no_grad():
            torch.testing.assert_close(model(ids).logits, plain(ids).logits, rtol=1e-3, atol=1e-3)
            found = float(training.loss(ids))
        there, back = divergence(task.model, model, ids), divergence(model, task.model, ids)
        usual = next_token(model, ids)
        if "share" in settings:
            assert found == pytest.approx(there + 0.3 * usual, rel=1e-4)
            assert found != pytest.approx(back + 0.3 * usual, rel=1e-3)
        else:
            assert found == pytest.approx(usual, rel=1e-4)
