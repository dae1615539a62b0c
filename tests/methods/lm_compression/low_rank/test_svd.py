"""Truncated SVD, blind and with regard to the inputs."""

from collections.abc import Callable
from typing import Literal

import pytest
import torch

from bench.contract import OverBudget
from methods._techniques.factored import FactoredLinear, truncated
from methods._techniques.hessian import Hessian, output_error
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.low_rank._limits import parameters, uniform_ranks
from methods.lm_compression.low_rank.activation_aware_svd import ActivationAwareSVD, Magnitudes, nearest_output
from methods.lm_compression.low_rank.svd import SVD
from suites._language.adapters import decoder_linears
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import limited

ToyTask = Callable[..., CausalLMTask]
METHODS = [SVD(), ActivationAwareSVD(samples=4, length=64), ActivationAwareSVD("diagonal", samples=4, length=64)]
IDS = torch.randint(0, 256, (2, 24), generator=torch.Generator().manual_seed(1))


def ranks_of(model: torch.nn.Module) -> dict[str, int]:
    return {name: module.rank for name, module in model.named_modules() if isinstance(module, FactoredLinear)}


@pytest.mark.parametrize("method", METHODS, ids=["svd", "whitening", "diagonal"])
@pytest.mark.parametrize("point", ["size-75", "size-25", "compute-50"])
def test_limits_are_met_with_one_share_for_all_and_the_next_would_not_do(
    method: SVD | ActivationAwareSVD, point: str, toy_task: ToyTask
) -> None:
    task = toy_task(point)
    assert method.supports(task) is None
    candidate = method.build(task)
    assert task.limits.met_by(task.weigh(candidate))
    ranks = ranks_of(candidate)
    assert ranks == uniform_ranks(task)
    shapes = {name: tuple(task.model.get_submodule(name).weight.shape) for name in decoder_linears(task.model)}
    assert ranks.keys() == shapes.keys()
    shares = {name: rank * sum(shapes[name]) / (shapes[name][0] * shapes[name][1]) for name, rank in ranks.items()}
    # The share is that of the matrix that is rounded least; no other could take one rank more without passing it.
    assert all(
        (ranks[name] + 1) * sum(shapes[name]) / (shapes[name][0] * shapes[name][1]) > max(shares.values())
        for name in shapes
    )
    # The least compression: one more rank for the matrices that would come next passes the limit.
    grown = {name: (ranks[name] + 1) * sum(s) / (s[0] * s[1]) for name, s in shapes.items()}
    following = {name: ranks[name] + (grown[name] == min(grown.values())) for name in ranks}
    figure, allowed = next(iter(task.limits.result.items()))
    now = task.weigh(candidate)[figure]
    per_parameter = (1 - now) / (parameters(shapes, {}) - parameters(shapes, ranks))
    more = parameters(shapes, following) - parameters(shapes, ranks)
    assert now + more * per_parameter > allowed - 2e-3


def test_limits_that_the_dense_model_meets_leave_it(toy_task: ToyTask) -> None:
    task = toy_task("size-75")
    candidate = SVD().build(limited(task, stored_ratio=1.0))
    assert torch.equal(candidate(IDS).logits, task.model(IDS).logits)


def test_what_cannot_be_met_is_said(toy_task: ToyTask) -> None:
    task = toy_task("unlimited")
    assert "needs a limit" in str(SVD().supports(task))
    impossible = limited(task, stored_ratio=0.03)
    assert "rank 1" in str(SVD().supports(impossible))
    with pytest.raises(OverBudget):
        SVD().build(impossible)


def test_cache_and_generation_go_on(toy_task: ToyTask) -> None:
    task = toy_task("size-50")
    candidate = SVD().build(task)
    whole = candidate(IDS).logits
    first = candidate(IDS[:, :10], use_cache=True)
    rest = candidate(IDS[:, 10:], past_key_values=first.past_key_values, use_cache=True).logits
    torch.testing.assert_close(torch.cat([first.logits, rest], 1), whole, atol=1e-4, rtol=1e-4)
    assert candidate.generate(IDS[:1, :5], max_new_tokens=3, do_sample=False).shape == (1, 8)


def test_the_factors_are_the_truncated_decomposition(toy_task: ToyTask) -> None:
    task = toy_task("size-50")
    candidate = SVD().build(task)
    for name, rank in ranks_of(candidate).items():
        thin, expected = candidate.get_submodule(name), truncated(task.model.get_submodule(name), rank)
        torch.testing.assert_close(thin.up.weight @ thin.down.weight, expected.up.weight @ expected.down.weight)


@pytest.mark.parametrize(("scaling", "seen"), [("whitening", Hessian), ("diagonal", Magnitudes)])
def test_the_first_layer_is_fitted_by_the_scaling_that_is_asked_for(
    scaling: Literal["whitening", "diagonal"], seen: type[Hessian | Magnitudes], toy_task: ToyTask
) -> None:
    task = toy_task("size-50")
    candidate = ActivationAwareSVD(scaling, samples=4, length=64).build(task)
    inputs, block = seen(), task.model.model.layers[0]
    with torch.no_grad():
        inputs.see(block.input_layernorm(task.model.model.embed_tokens(calibration_batch(toy_task("size-50"), 4, 64))))
    thin = candidate.model.layers[0].self_attn.q_proj
    expected = nearest_output(block.self_attn.q_proj, inputs.matrix, thin.rank)
    found, wanted = (part.up.weight @ part.down.weight for part in (thin, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(10, 16), (16, 10), (12, 12)])
def test_whitening_leaves_the_least_output_error_that_a_rank_allows(shape: tuple[int, int]) -> None:
    """The least is known in closed form: the dropped singular values of W S. No other matrix may do better."""
    torch.manual_seed(2)
    out, inner = shape
    layer = torch.nn.Linear(inner, out, bias=False).double()
    x = torch.randn(200, inner, dtype=torch.float64) * torch.logspace(-2, 1, inner, dtype=torch.float64)
    x = x @ torch.randn(inner, inner, dtype=torch.float64)
    moments = x.T @ x
    best = torch.linalg.svdvals(x @ layer.weight.T)
    for rank in (1, 4, 7):
        thin = nearest_output(layer, moments, rank)
        error = (x @ layer.weight.T - thin(x)).square().sum()
        torch.testing.assert_close(error, best[rank:].square().sum(), rtol=1e-6, atol=1e-8)
        blind = (x @ layer.weight.T - truncated(layer, rank)(x)).square().sum()
        assert error < 0.9 * blind
        for _ in range(20):  # steps away from it in any direction lose
            up = thin.up.weight + 1e-3 * torch.randn_like(thin.up.weight)
            assert (x @ (layer.weight - up @ thin.down.weight).T).square().sum() > error


def test_diagonal_scaling_is_truncated_svd_of_the_scaled_matrix() -> None:
    torch.manual_seed(4)
    layer = torch.nn.Linear(14, 9, bias=False).double()
    x = torch.randn(50, 14, dtype=torch.float64) * torch.arange(1, 15)
    seen = Magnitudes()
    for part in x.split(20):
        seen.see(part)
    scale = x.abs().mean(0).sqrt()
    left, values, right = torch.linalg.svd(layer.weight * scale, full_matrices=False)
    expected = (left[:, :4] * values[:4]) @ right[:4] / scale
    thin = nearest_output(layer, seen.matrix, 4)
    torch.testing.assert_close(thin.up.weight @ thin.down.weight, expected)


def test_every_layer_is_fitted_to_what_it_reads_in_the_compressed_model(toy_task: ToyTask) -> None:
    """With its real inputs, no layer of the candidate has more error than plain truncation would have there."""
    task = toy_task("size-50")
    method = ActivationAwareSVD(samples=4, length=64)
    windows = calibration_batch(toy_task("size-50"), 4, 64)
    candidate = method.build(task)
    inputs: dict[str, torch.Tensor] = {}
    for name, module in candidate.named_modules():
        if isinstance(module, FactoredLinear):
            module.register_forward_pre_hook(lambda m, args, name=name: inputs.update({name: args[0].flatten(0, -2)}))
    candidate(windows)
    gained = 0.0
    for name, rank in ranks_of(candidate).items():
        thin, dense, x = candidate.get_submodule(name), task.model.get_submodule(name), inputs[name]
        moments = x.T @ x / len(x)
        blind = truncated(dense, rank)
        changes = [dense.weight.detach() - part.up.weight @ part.down.weight for part in (thin, blind)]
        errors = [float(output_error(change, moments).sum()) for change in changes]
        assert errors[0] <= errors[1] * 1.001, name
        gained += 1 - errors[0] / errors[1]
    assert gained > 5  # of 42 layers, so far that no rounding makes it
