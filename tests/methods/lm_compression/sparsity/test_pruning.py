"""The pruning controls, against brute force and against what they promise."""

import copy
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from methods._techniques.hessian import inverse_factor as float64_factor
from methods._techniques.packed_sparse import SparseLinear
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.sparsity._amount import Amount, block_linears, ladder, least
from methods.lm_compression.sparsity._masks import set_zeros, two_of_four
from methods.lm_compression.sparsity.magnitude_sparsity import MagnitudeSparsity
from methods.lm_compression.sparsity.random_sparsity import RandomSparsity
from methods.lm_compression.sparsity.sparsegpt import SparseGPT, compensated, shared_hessians
from methods.lm_compression.sparsity.wanda import Wanda, wanda_masks
from suites._language.blocks import walk_blocks
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import text_of

SMALL = {"samples": 8, "length": 32}
UNSTRUCTURED = [RandomSparsity(), MagnitudeSparsity(), Wanda(**SMALL), SparseGPT(**SMALL)]
SEMI_STRUCTURED = [type(method)(**vars(method) | {"pattern": "2:4"}) for method in UNSTRUCTURED]
ALL = UNSTRUCTURED + SEMI_STRUCTURED
HALF = Amount("unstructured", Fraction(1, 2), 6)


def name_of(method: object) -> str:
    return f"{type(method).__name__}-{method.pattern}"  # type: ignore[attr-defined]


def sparse_layers(model: nn.Module) -> dict[str, SparseLinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, SparseLinear)}


def error(change: Tensor, hessian: Tensor) -> float:
    """Squared output error of a layer whose weights changed."""
    return float(torch.einsum("ri,ij,rj->", change.double(), hessian.double(), change.double()))


def problem(rows: int, columns: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Weights, and a Hessian with correlated inputs of unlike sizes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(400, columns, generator=generator) @ torch.randn(columns, columns, generator=generator)
    return torch.randn(rows, columns, generator=generator), x.T @ x


def inverse_factor(hessian: Tensor, damping: float) -> Tensor:
    return float64_factor(hessian, damping).float()


@pytest.mark.parametrize("method", ALL, ids=name_of)
def test_it_meets_the_limit_with_the_least_sparsity(make_task: Callable[..., CausalLMTask], method) -> None:
    task = make_task(stored_ratio=0.75)
    assert method.supports(task) is None
    candidate = method.build(task)
    figures = task.weigh(candidate)
    assert figures["stored_ratio"] <= 0.75
    amounts = ladder(task.model, method.pattern)
    chosen = least(task, method.pattern)
    step = amounts.index(chosen)
    less = sum(
        amounts[step].pruned(0 if method.pattern == "unstructured" else step - 1, width)
        - amounts[step - 1].pruned(0 if method.pattern == "unstructured" else step - 1, width)
        for width in (64, 192)
    )
    assert less > 0  # one step less is really less,
    denser = make_task(stored_ratio=figures["stored_ratio"] - 1e-6)
    assert least(denser, method.pattern) != chosen  # and this one is as tight as steps are


@pytest.mark.parametrize("method", ALL, ids=name_of)
def test_no_sparsity_is_the_dense_model(make_task: Callable[..., CausalLMTask], method) -> None:
    task = make_task(stored_ratio=1.0)
    candidate = method.build(task)
    assert candidate is not task.model
    assert not sparse_layers(candidate)
    ids = text_of(task)[None, :20]
    with torch.no_grad():
        assert torch.equal(candidate(ids).logits, task.model(ids).logits)


@pytest.mark.parametrize("method", ALL, ids=name_of)
def test_layers_lose_what_they_should_and_the_base_nothing(make_task: Callable[..., CausalLMTask], method) -> None:
    task = make_task(stored_ratio=0.7)
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    candidate = method.build(task)
    amount = least(task, method.pattern)
    layers = sparse_layers(candidate)
    assert len(layers) == 7 * amount.blocks
    for name, layer in layers.items():
        zeros = amount.pruned(int(name.split(".")[2]), layer.in_features)
        assert len(layer.values) == layer.out_features * (layer.in_features - zeros)
    assert all(torch.equal(before[name], tensor) for name, tensor in task.model.state_dict().items())
    assert all(parameter.requires_grad for parameter in task.model.parameters())


@pytest.mark.parametrize("method", SEMI_STRUCTURED, ids=name_of)
def test_two_of_four_is_exact(make_task: Callable[..., CausalLMTask], method) -> None:
    task = make_task(stored_ratio=0.7)
    for layer in sparse_layers(method.build(task)).values():
        fours = layer.dense().view(layer.out_features, -1, 4)
        assert ((fours != 0).sum(-1) == 2).all()


@pytest.mark.parametrize("method", [Wanda(**SMALL), SEMI_STRUCTURED[3]], ids=name_of)
def test_same_seed_same_model_in_sixteen_bits(make_task: Callable[..., CausalLMTask], method) -> None:
    states = []
    for _ in range(2):
        task = make_task(dtype=torch.bfloat16, stored_ratio=0.7)
        candidate = method.build(task)
        assert candidate(torch.ones(1, 4, dtype=torch.long)).logits.dtype == torch.bfloat16
        states.append(candidate.state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_random_masks_hang_on_the_seed(make_task: Callable[..., CausalLMTask]) -> None:
    def bitmap(seed: int) -> Tensor:
        task = make_task(seed=seed, stored_ratio=0.7)
        return next(iter(sparse_layers(RandomSparsity().build(task)).values())).bitmap

    assert torch.equal(bitmap(1), bitmap(1))
    assert not torch.equal(bitmap(1), bitmap(2))


def test_limits_that_zeros_cannot_meet(make_task: Callable[..., CausalLMTask]) -> None:
    for limits, word in (({}, "dense"), ({"flops_ratio": 0.75}, "flops_ratio"), ({"stored_ratio": 0.05}, "0.05")):
        task = make_task(**limits)
        assert word in (Wanda().supports(task) or "")
    task = make_task(stored_ratio=0.5)
    assert "two of four" in (Wanda(pattern="2:4").supports(task) or "")
    assert Wanda().supports(task) is None


def test_magnitude_keeps_the_largest_of_each_layer(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.6)
    for name, layer in sparse_layers(MagnitudeSparsity().build(task)).items():
        dense = task.model.get_submodule(name).weight.detach().abs()
        gone = layer.dense() == 0
        assert dense[gone].max() <= dense[~gone].min()


def test_wanda_masks_are_those_of_brute_force(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task()
    windows = calibration_batch(task, 8, 32)
    (step,) = [step for step in walk_blocks(task.model, windows) if step.index == 2]
    linears = block_linears(step.block)
    inputs: dict[str, list[Tensor]] = {name: [] for name in linears}
    step.observe(list(linears.values()), [seen.append for seen in inputs.values()])
    masks, outputs = wanda_masks(step, HALF)
    assert torch.equal(outputs, step.outputs())
    for name, linear in linears.items():
        x = torch.cat(inputs[name]).flatten(0, 1)
        for row in range(0, linear.out_features, 17):
            scores = {j: float(abs(linear.weight[row, j].detach()) * x[:, j].norm()) for j in range(linear.in_features)}
            best = sorted(scores, key=scores.__getitem__)[linear.in_features // 2 :]
            assert sorted(masks[name][row].nonzero().flatten().tolist()) == sorted(best)


def test_later_blocks_are_scored_on_pruned_earlier_ones(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task()
    windows = calibration_batch(task, 8, 32)
    states = []
    for zeros in (False, True):
        task = make_task()
        for step in walk_blocks(task.model, windows):
            if step.index == 0 and zeros:
                set_zeros(step.block, wanda_masks(step, HALF)[0])
            if step.index == 1:
                states.append(step.states)
                break
    assert not torch.allclose(*states)


@pytest.mark.parametrize("method", [Wanda(**SMALL), SparseGPT(**SMALL)], ids=name_of)
def test_each_block_is_pruned_on_what_the_pruned_ones_before_it_give(
    make_task: Callable[..., CausalLMTask], method: Wanda | SparseGPT
) -> None:
    """The build once more, step by step."""
    task = make_task(stored_ratio=0.6)
    layers, amount = sparse_layers(method.build(task)), least(task, "unstructured")
    model = copy.deepcopy(task.model)
    for step in walk_blocks(model, calibration_batch(make_task(), 8, 32)):
        linears = block_linears(step.block)
        masks, _ = wanda_masks(step, amount)
        weights = {name: linears[name].weight.detach() * mask for name, mask in masks.items()}
        if isinstance(method, SparseGPT):
            hessians = shared_hessians(step, list(linears.values()))
            for (name, linear), hessian in zip(linears.items(), hessians, strict=True):
                factor = inverse_factor(hessian.matrix, 0.01)
                weights[name], _ = compensated(linear.weight.detach(), factor, amount, step.index)
        assert len(weights) == 7
        for name, weight in weights.items():
            torch.testing.assert_close(layers[f"model.layers.{step.index}.{name}"].dense(), weight)
            linears[name].weight.data = weight


def test_two_of_four_keeps_the_two_highest() -> None:
    scores = torch.tensor([[1.0, 4.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0]])
    assert two_of_four(scores).tolist() == [[False, True, True, False, False, False, True, True]]


def test_layers_that_read_the_same_share_a_hessian(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task()
    step = next(iter(walk_blocks(task.model, calibration_batch(task, 8, 32), batch=3)))
    linears = block_linears(step.block)
    inputs: dict[str, list[Tensor]] = {name: [] for name in linears}
    step.observe(list(linears.values()), [seen.append for seen in inputs.values()])
    hessians = shared_hessians(step, list(linears.values()))
    assert len(set(hessians)) == 4
    for name, hessian in zip(linears, hessians, strict=True):
        x = torch.cat(inputs[name]).flatten(0, 1)
        torch.testing.assert_close(hessian.matrix, x.T @ x / len(x))


@pytest.mark.parametrize("block", [3, 4, 128])
def test_compensation_of_leading_zeros_is_least_squares(block: int) -> None:
    """All weights that leave come before those that stay: then what stays must be the best fit there is."""
    weight, hessian = problem(1, 10)
    kept = torch.arange(10)[None] >= 4
    updated, _ = compensated(weight, inverse_factor(hessian, 0.0), HALF, 0, block=block, mask=kept)
    stay, gone = kept[0], ~kept[0]
    best = weight[0, stay] + torch.linalg.solve(hessian[stay][:, stay], hessian[stay][:, gone] @ weight[0, gone])
    torch.testing.assert_close(updated[0, stay], best, rtol=1e-3, atol=1e-3)
    assert (updated[0, gone] == 0).all()


@pytest.mark.parametrize("block", [3, 128])
def test_each_zero_is_made_up_for_by_the_best_change_of_later_weights(block: int) -> None:
    weight, hessian = problem(1, 10, seed=4)
    kept = torch.tensor([[True, False, True, True, False, False, True, True, False, True]])
    now = weight.double().clone()
    for column in (~kept[0]).nonzero().flatten().tolist():
        lost, later = now[0, column].clone(), slice(column + 1, None)
        now[0, column] = 0
        pull = hessian.double()[later, column] * lost
        now[0, later] += torch.linalg.solve(hessian.double()[later, later], pull)
    updated, _ = compensated(weight, inverse_factor(hessian, 0.0), HALF, 0, block=block, mask=kept)
    torch.testing.assert_close(updated.double(), now, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
def test_compensation_never_hurts_on_the_hessian(pattern: str) -> None:
    amount = Amount(pattern, Fraction(1, 2), 1)  # type: ignore[arg-type]
    for seed in range(5):
        weight, hessian = problem(16, 32, seed)
        updated, kept = compensated(weight, inverse_factor(hessian, 0.01), amount, 0, block=8)
        assert int((~kept).sum()) == 16 * 16
        assert (updated[~kept] == 0).all()
        assert error(updated - weight, hessian) < 0.8 * error(weight * kept - weight, hessian)


def test_sparsegpt_loses_less_than_wanda_and_both_less_than_chance(make_task: Callable[..., CausalLMTask]) -> None:
    """Each against the dense block's output, on the text that it was calibrated on."""
    windows = calibration_batch(make_task(), 8, 32)
    lost = {}
    for method in UNSTRUCTURED:
        task = make_task(stored_ratio=0.6)
        candidate = method.build(task)
        with torch.no_grad():
            dense = next(iter(walk_blocks(task.model, windows))).outputs()
            lost[type(method)] = float((next(iter(walk_blocks(candidate, windows))).outputs() - dense).square().mean())
    assert lost[SparseGPT] < lost[Wanda] < lost[RandomSparsity]
