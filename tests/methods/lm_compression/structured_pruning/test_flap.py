"""FLAP against what can be worked out by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods._techniques.moments import Moments, input_moments
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.structured_pruning import flap
from methods.lm_compression.structured_pruning._cut import layers, output_projections, query_channels
from methods.lm_compression.structured_pruning.flap import FLAP, fluctuation
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import drawn, text_of
from tests.methods.lm_compression.structured_pruning.conftest import parameters, random_model

SMALL = FLAP(samples=8, length=32, block=1)


def captured(model: nn.Module, modules: list[nn.Module], windows: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(inputs, outputs) of the modules over all tokens."""
    found: dict[int, tuple[Tensor, Tensor]] = {}
    handles = [
        module.register_forward_hook(lambda m, args, out: found.__setitem__(id(m), (args[0], out)))
        for module in modules
    ]
    with torch.no_grad():
        model(windows)
    for handle in handles:
        handle.remove()
    return [tuple(part.flatten(0, 1) for part in found[id(module)]) for module in modules]


def test_moments_do_not_depend_on_the_batches() -> None:
    x = torch.randn(37, 5, dtype=torch.float64) * 3 + 100
    moments = Moments()
    for part in x.split([1, 20, 16]):
        moments.add(part)
    torch.testing.assert_close(moments.mean, x.mean(0))
    torch.testing.assert_close(moments.variance, x.var(0, correction=0))


def test_a_constant_has_no_variance_at_all() -> None:
    moments = Moments()
    for size in (3, 7, 5):
        moments.add(torch.full((size, 2), 0.1, dtype=torch.bfloat16))
    assert moments.variance.tolist() == [0.0, 0.0]


def test_scores_are_input_variance_times_squared_column_norm(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task()
    windows = calibration_batch(task, 8, 32)
    linear = layers(task.model)[1].mlp.down_proj
    (inputs, _), *_ = captured(task.model, [linear], windows)
    x, weight = inputs.numpy(), linear.weight.detach().numpy()
    expected = [x[:, j].var() * (weight[:, j] ** 2).sum() for j in range(64)]
    (moments,) = input_moments(task.model, [linear], windows, batch=3)
    np.testing.assert_allclose(fluctuation(linear, moments).numpy(), expected)


def test_hooks_are_gone_afterwards(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task()
    SMALL.build(task)
    assert not any(module._forward_pre_hooks for module in task.model.modules())


@pytest.mark.parametrize("bias", [True, False])
def test_limits_already_met_leave_the_dense_model(make_task: Callable[..., CausalLMTask], bias: bool) -> None:
    task = make_task(stored_ratio=1.0)
    candidate = FLAP(samples=8, length=32, bias=bias).build(task)
    ids = text_of(task)[None, :20]
    with torch.no_grad():
        assert torch.equal(candidate(ids).logits, task.model(ids).logits)
    assert candidate is not task.model


def test_bias_restores_the_mean_output_of_every_pruned_projection(make_task: Callable[..., CausalLMTask]) -> None:
    """Given its dense inputs; which channels are left is read off the weights."""
    task = make_task(stored_ratio=0.6)
    candidate = SMALL.build(task)
    pairs = [
        (getattr(dense, part)._modules[name], getattr(small, part)._modules[name])
        for dense, small in zip(layers(task.model), layers(candidate), strict=True)
        for part, name in (("self_attn", "o_proj"), ("mlp", "down_proj"))
    ]
    narrowed = [(dense, small) for dense, small in pairs if small.in_features < dense.in_features]
    assert len(narrowed) >= 4
    flows = captured(task.model, [dense for dense, _ in narrowed], calibration_batch(task, 8, 32))
    for (dense, small), (inputs, outputs) in zip(narrowed, flows, strict=True):
        kept = [int((dense.weight == column[:, None]).all(0).nonzero()[0, 0]) for column in small.weight.T]
        torch.testing.assert_close(small(inputs[:, kept]).mean(0), outputs.mean(0))
        assert (small(inputs[:, kept]) - outputs).abs().max() > 1e-3


def test_matrices_that_lost_nothing_get_no_bias(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.97)
    candidate = SMALL.build(task)
    for dense, small in zip(layers(task.model), layers(candidate), strict=True):
        assert (small.mlp.down_proj.bias is None) == (
            small.mlp.down_proj.in_features == dense.mlp.down_proj.in_features
        )
        assert (small.self_attn.o_proj.bias is None) == (small.self_attn.o_proj.in_features == 48)


def constant_neuron(model: nn.Module, layer: int, neuron: int) -> None:
    """Make a neuron put out the same number whatever it reads. Its column is large, so that its removal would tell.

    silu(b) * b with no input at all: only a bias gives a constant.
    """
    mlp = layers(model)[layer].mlp
    with torch.no_grad():
        for linear in (mlp.gate_proj, mlp.up_proj):
            linear.weight[neuron] = 0
            linear.bias[neuron] = 2.0
        mlp.down_proj.weight[:, neuron] = 3.0


def test_a_constant_neuron_leaves_first_and_nothing_is_lost(make_task: Callable[..., CausalLMTask]) -> None:
    model = random_model(mlp_bias=True)
    constant_neuron(model, layer=2, neuron=17)
    one_less = 1 - (3 * 48 + 2) / parameters(model)
    task = make_task(model, stored_ratio=one_less)
    candidate, no_bias = (FLAP(8, 32, bias, block=1).build(task) for bias in (True, False))
    widths = [layer.mlp.down_proj.in_features for layer in layers(candidate)]
    assert widths == [64, 64, 63, 64]
    ids = torch.randint(1, 61, (2, 20), generator=torch.Generator().manual_seed(99))
    with torch.no_grad():
        torch.testing.assert_close(candidate(ids).logits, model(ids).logits)
        assert (no_bias(ids).logits - model(ids).logits).abs().max() > 0.01


def test_a_constant_group_can_leave_without_loss(make_task: Callable[..., CausalLMTask]) -> None:
    """Values that do not depend on the input make an attention's output constant, whatever it attends to."""
    model = random_model(attention_bias=True)
    attention = layers(model)[1].self_attn
    with torch.no_grad():
        attention.v_proj.weight[8:] = 0
        attention.v_proj.bias[8:] = 1.5
    task = make_task(model)
    windows = calibration_batch(task, 8, 32)
    (moments,) = input_moments(model, [attention.o_proj], windows)
    scores = fluctuation(attention.o_proj, moments)
    other, constant = (query_channels(attention, torch.tensor([group])) for group in (0, 1))
    assert scores[constant].max() < 1e-25
    assert scores[other].min() > 1e-6
    fewer = make_task(model, stored_ratio=0.75)
    candidate = SMALL.build(fewer)
    small = layers(candidate)[1].self_attn
    if small.k_proj.out_features == 16:
        pytest.fail("the constant group was kept")
    assert torch.equal(small.v_proj.weight, attention.v_proj.weight[:8])


def test_it_is_deterministic_and_draws_what_it_says(make_task: Callable[..., CausalLMTask]) -> None:
    first, second = make_task(stored_ratio=0.7), make_task(stored_ratio=0.7)
    one, two = (SMALL.build(task).state_dict() for task in (first, second))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert drawn(first)["calibration_tokens"] == 8 * 32


def test_bfloat16_models_stay_bfloat16(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(random_model().bfloat16(), stored_ratio=0.7)
    candidate = SMALL.build(task)
    assert {parameter.dtype for parameter in candidate.parameters()} == {torch.bfloat16}
    assert candidate(torch.ones(1, 4, dtype=torch.long)).logits.isfinite().all()


def test_the_build_ranks_by_fluctuation_and_the_attention_by_its_square(
    make_task: Callable[..., CausalLMTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked, ranking = [], flap.ranking
    monkeypatch.setattr(flap, "ranking", lambda *given: ranked.append(given) or ranking(*given))
    task = make_task(stored_ratio=0.7)
    SMALL.build(task)
    ((_, attention, mlp, block),) = ranked
    projections = output_projections(task.model)
    moments = input_moments(task.model, projections, calibration_batch(make_task(), 8, 32))
    wanted = [fluctuation(linear, moment) for linear, moment in zip(projections, moments, strict=True)]
    torch.testing.assert_close(list(attention), [score**2 for score in wanted[::2]])
    torch.testing.assert_close(list(mlp), wanted[1::2])
    assert block == 1
