"""Binary codes, powers of two, the kernel of look-ups, bits by sensitivity, and the whole method on the toy model."""

from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.measure.flops import count_flops
from methods._techniques.binary import (
    assign,
    fitted_scales,
    greedy_scales,
    power_terms,
    power_values,
    reconstructed,
    refined_scales,
    scale_values,
)
from methods._techniques.binary_gptq import binary_codes, column_order, in_order
from methods._techniques.hessian import Hessian, inverse_factor, output_error
from methods._techniques.shift_add import KERNEL_ROWS, ShiftAddLinear, packed_signs
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.quantisation import shiftaddllm
from methods.lm_compression.quantisation._bit_allocation import allocate
from methods.lm_compression.quantisation._precision import block_linears
from methods.lm_compression.quantisation.shiftaddllm import CHOICES, ShiftAddLLM, one_more, sensitivity
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import limited, text_of

Make = Callable[..., CausalLMTask]

QUICK: dict[str, Any] = {"samples": 4, "length": 128, "rounds": 2}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(size: int, seed: int = 1) -> torch.Tensor:
    inputs = normal(4 * size, size, seed=seed) @ normal(size, size, seed=seed + 1)
    return inputs.T @ inputs / len(inputs)


@settings(deadline=None)
@given(st.floats(2.0**-50, 2.0**50), st.sampled_from([1, 2, 3]))
def test_each_term_of_a_scale_is_a_power_of_two_and_leaves_a_third(scale: float, terms: int) -> None:
    codes = power_terms(torch.tensor([scale, -scale, 0.0]), terms)
    values = power_values(codes)
    mantissa, _ = torch.frexp(values[:2].abs())
    assert ((mantissa == 0.5) | (values[:2] == 0)).all()
    assert codes.dtype == torch.int8
    assert scale_values(codes)[2] == 0
    missed = (scale_values(codes)[:2] - torch.tensor([scale, -scale])).abs()
    assert (missed <= scale * 3.0**-terms * (1 + 1e-5)).all()


def test_each_weight_goes_to_the_nearest_sum() -> None:
    """Against all sums, one by one."""
    weights, scales = normal(3, 50), normal(3, 4, seed=1).abs()
    choice, error = assign(weights, scales)
    sums = torch.stack([(scales * torch.tensor(signs)).sum(1) for signs in product((-1.0, 1.0), repeat=4)], 1)
    distance = (weights[:, :, None] - sums[:, None]).abs().amin(2)
    torch.testing.assert_close((reconstructed(choice, scales) - weights).abs(), distance)
    torch.testing.assert_close(error, distance.square().sum(1))


@pytest.mark.parametrize("terms", [1, 3])
def test_codes_keep_to_the_stated_error_bound(terms: int) -> None:
    """Every greedy bit takes (1 - 9^-terms) count mean|rest|^2 off; the fit by turns is never worse than its start."""
    weights = normal(20, 100).pow(3)
    rest, bound = weights, weights.square().sum(1)
    codes = greedy_scales(weights, 5, terms)
    for bit in range(5):
        bound = rest.square().sum(1) - (1 - 9.0**-terms) * 100 * rest.abs().mean(1).square()
        rest = rest - torch.where(rest < 0, -1.0, 1.0) * scale_values(codes[:, bit])[:, None]
        assert (rest.square().sum(1) <= bound * (1 + 1e-5)).all()
    start = assign(weights, scale_values(codes))[1]
    refined = assign(weights, scale_values(refined_scales(weights, codes, 10)))[1]
    assert (refined <= start * (1 + 1e-6)).all()
    assert (refined < 0.9 * start).any()
    assert (start <= bound * (1 + 1e-5)).all()


def test_the_error_falls_with_the_bits() -> None:
    weights = normal(10, 200)
    errors = [float(assign(weights, scale_values(fitted_scales(weights, bits, 3, 10)))[1].sum()) for bits in CHOICES]
    assert all(later < 0.6 * earlier for earlier, later in pairwise(errors))


@pytest.mark.parametrize(("bits", "width", "rows"), [(1, 1, 24), (3, 1, 20), (3, 8, 24), (5, 8, 10)])
@pytest.mark.parametrize("count", [1, 5])
def test_looked_up_sums_are_the_dense_product(bits: int, width: int, rows: int, count: int) -> None:
    weight, bias = normal(rows, 48), normal(rows, seed=2)
    layer = ShiftAddLinear(binary_codes(weight, None, bits, 3, width, 3), bias)
    x = normal(count, 48, seed=3)
    x[:, 5] = 0
    exact = x.double() @ layer.matrix(torch.float64).T + bias
    torch.testing.assert_close((layer.looked_up(x) + bias).double(), exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer(x).double(), exact, rtol=1e-5, atol=1e-5)
    many = normal(KERNEL_ROWS + 1, 48, seed=3)
    torch.testing.assert_close(layer(many)[:count], layer(many[:count]), rtol=1e-5, atol=1e-5)


def test_the_kernel_runs_no_product() -> None:
    layer = ShiftAddLinear(binary_codes(normal(24, 48), None, 3, 3, 1, 3))
    assert count_flops(lambda: layer(normal(2, 48))) == 0
    assert count_flops(lambda: layer(normal(KERNEL_ROWS + 1, 48))) == 2 * (KERNEL_ROWS + 1) * 48 * 24


@pytest.mark.parametrize("width", [1, 8])
def test_codes_stand_for_the_weights_that_were_chosen(width: int) -> None:
    """What the module unpacks is what the fit decided on, column by column, in the columns' own places."""
    weight, hessian = normal(16, 32), correlated(32)
    order = column_order(hessian, width)
    assert sorted(order.tolist()) == list(range(32))
    codes = in_order(binary_codes(weight[:, order], None, 3, 2, width, 4), order, width)
    straight = binary_codes(weight, None, 3, 2, width, 4)
    assert torch.equal(codes.signs, straight.signs)
    assert torch.equal(codes.scales, straight.scales)
    choice = torch.randint(0, 8, (16, 32), generator=torch.Generator().manual_seed(0))
    single = packed_signs(choice, 3).unflatten(1, (3, -1))[..., None] >> torch.arange(8) & 1
    assert torch.equal((single.flatten(2) << torch.arange(3)[:, None]).sum(1), choice)


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("width", [1, 8])
def test_columns_that_make_up_for_others_change_the_outputs_less(bits: int, width: int) -> None:
    weight, hessian = normal(32, 160), correlated(160)
    order = column_order(hessian, width)
    factor = inverse_factor(hessian[order][:, order], 0.01).float()

    def error(codes: object) -> float:
        return float(output_error(ShiftAddLinear(codes).matrix(torch.float32) - weight, hessian).sum())  # type: ignore[arg-type]

    fitted = error(in_order(binary_codes(weight[:, order], factor, bits, 3, width, 5), order, width))
    assert fitted < 0.8 * error(binary_codes(weight, None, bits, 3, width, 5))


def test_rows_in_groups_have_scales_of_their_own() -> None:
    """Two halves of very different size: what one scale for a column loses, one for each half keeps."""
    weight = torch.cat([normal(16, 32), 100 * normal(16, 32, seed=1)])
    alone = [ShiftAddLinear(binary_codes(half, None, 3, 3, 1, 4)).matrix(torch.float32) for half in weight.chunk(2)]
    method = ShiftAddLLM(rounds=4, group=16)
    grouped = ShiftAddLinear(codes := method._codes(weight, None, 3))
    assert torch.equal(grouped.matrix(torch.float32), torch.cat(alone))
    assert torch.allclose(grouped.looked_up(normal(2, 32)), normal(2, 32) @ torch.cat(alone).T, atol=1e-3)
    blank = method._no_codes(weight, 3, torch.device("meta"))
    assert (blank.signs.nbytes, blank.scales.nbytes) == (codes.signs.nbytes, codes.scales.nbytes)
    assert len(ShiftAddLLM(group=12)._groups(weight)) == 1  # rows that groups do not divide share them all


def test_no_matrix_gets_fewer_bits_than_all_alike_would() -> None:
    assert [one_more(bits) for bits in (2, 6, 8)] == [(2, 3), (6, 8), (8,)]


def test_the_allocation_is_the_best_of_all_within_the_budget() -> None:
    generator = torch.Generator().manual_seed(0)
    scale = (torch.rand(5, generator=generator) * 10).tolist()
    costs = [{bits: factor * 4.0**-bits for bits in (2, 3, 4)} for factor in scale]
    sizes = [{bits: bits * rows for bits in (2, 3, 4)} for rows in (100, 100, 200, 50, 70)]
    for budget in (1100, 1400, 1800):
        found = allocate(costs, sizes, budget)
        within = [
            bits
            for bits in product((2, 3, 4), repeat=5)
            if sum(size[bit] for size, bit in zip(sizes, bits, strict=True)) <= budget
        ]

        def total(bits: object) -> float:
            return sum(cost[bit] for cost, bit in zip(costs, bits, strict=True))  # type: ignore[call-overload]

        assert sum(size[bit] for size, bit in zip(sizes, found, strict=True)) <= budget
        assert total(found) == pytest.approx(min(map(total, within)), rel=1e-3)
    with pytest.raises(ValueError, match="fewest bits"):
        allocate(costs, sizes, 1000)


def test_a_matrix_of_large_inputs_is_more_sensitive() -> None:
    weight, hessian = normal(16, 32), correlated(32)
    small, large = (sensitivity(weight, inverse_factor(scale * hessian, 0.01).diagonal().float()) for scale in (1, 4))
    assert large == pytest.approx(8 * small, rel=1e-4)  # S doubles, and the measure is of third order


@pytest.mark.parametrize("method", [ShiftAddLLM(**QUICK, width=8), ShiftAddLLM(**QUICK, mixed=False, width=8)])
def test_a_limit_is_met_and_used(toy_task: Make, method: ShiftAddLLM) -> None:
    task = toy_task(stored_ratio=0.45)
    assert method.supports(task) is None
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    candidate = method.build(task)
    ratio = task.weigh(candidate)["stored_ratio"]
    assert ratio <= 0.45
    if method.mixed:
        assert ratio > 0.44
        bits = {module.bits for module in candidate.modules() if isinstance(module, ShiftAddLinear)}
        assert len(bits) > 1
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())
    ids = text_of(task)[None, :12]
    settings = {"max_new_tokens": 4, "do_sample": False}
    assert candidate.float().generate(ids, use_cache=True, **settings).shape == (1, 16)


def test_the_cost_of_bits_counts_every_weight(toy_task: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shiftaddllm, "sensitivity", lambda weight, diagonal: 3.0)
    monkeypatch.setattr(shiftaddllm, "relative_errors", lambda weight, choices, *_: {2: 0.5, 3: 0.25})
    task = toy_task()
    windows = text_of(task)[None, :64]
    costs = ShiftAddLLM(**QUICK)._costs(task.model, windows, (2, 3))
    sizes = [task.model.get_submodule(name).weight.numel() for name in block_linears(task.model)]
    assert len(set(sizes)) > 1
    assert costs == [{2: 1.5 * size, 3: 0.75 * size} for size in sizes]


def test_quality_rises_with_the_bits_and_the_average_is_kept(toy_task: Make) -> None:
    task = toy_task()
    ids = text_of(task)[None, :64]
    with torch.no_grad():
        dense = task.model(ids).logits.float()
        errors = []
        for bits in (4, 2):
            candidate = ShiftAddLLM(**QUICK, bits=bits, width=8).build(toy_task())
            layers = [module for module in candidate.modules() if isinstance(module, ShiftAddLinear)]
            assert {layer.bits for layer in layers} <= set(one_more(bits))
            weights = sum(layer.in_features * layer.out_features for layer in layers)
            assert sum(layer.signs.nbytes for layer in layers) * 8 <= (bits + 0.5) * weights
            errors.append(float((candidate(ids).logits.float() - dense).norm() / dense.norm()))
    assert errors[0] < 0.7 * errors[1]


def test_the_build_orders_columns_and_makes_up_for_them(toy_task: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "methods.lm_compression.quantisation.shiftaddllm"
    method = ShiftAddLLM(bits=2, mixed=False, samples=2, length=64)

    def error() -> float:
        """Of the outputs, in bits that are few."""
        task = toy_task()
        ids = text_of(task)[None, :64]
        with torch.no_grad():
            found, dense = (model(ids).logits.float() for model in (method.build(task), task.model))
        return float((found - dense).norm() / dense.norm())

    whole = error()
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.inverse_factor", lambda hessian, damping: torch.eye(len(hessian)))
        assert whole < error()
    monkeypatch.setattr(f"{module}.column_order", lambda hessian, width: torch.arange(len(hessian)))
    assert whole != error()


def test_the_first_codes_are_those_of_columns_that_make_up_for_each_other(toy_task: Make) -> None:
    """Queries of block 0, from the rounded embeddings on, step by step."""
    task = toy_task()
    candidate = ShiftAddLLM(bits=2, mixed=False, samples=2, length=64, rounds=2).build(task)
    block, seen = task.model.model.layers[0], Hessian()
    with torch.no_grad():
        seen.see(block.input_layernorm(candidate.get_input_embeddings()(calibration_batch(toy_task(), 2, 64))))
    order = column_order(seen.matrix, 1)
    factor = inverse_factor(seen.matrix[order][:, order], 0.01).float()
    weight = block.self_attn.q_proj.weight.detach()
    alone, wanted = (in_order(binary_codes(weight[:, order], each, 2, 3, 1, 2), order, 1) for each in (None, factor))
    found = candidate.model.layers[0].self_attn.q_proj
    assert (found.signs == wanted.signs).float().mean() > 0.99
    assert (found.signs == alone.signs).float().mean() < 0.97


def test_a_matrix_that_costs_more_gets_the_bits_that_are_left(toy_task: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task = toy_task(stored_ratio=0.45)
    names = block_linears(task.model)

    def built(dear: str) -> dict[str, int]:
        monkeypatch.setattr(
            ShiftAddLLM,
            "_costs",
            lambda self, model, windows, choices: [
                {bits: (1e6 if name == dear else 1.0) / bits for bits in choices} for name in names
            ],
        )
        candidate = ShiftAddLLM(**QUICK, width=8).build(task)
        return {name: candidate.get_submodule(name).bits for name in names}

    alike = built("none")
    dear = min(alike, key=lambda name: alike[name])  # what gets the fewest bits where all cost the same
    bits = built(dear)
    assert bits[dear] == max(bits.values()) > alike[dear]


def test_limits_say_who_supports_them(toy_task: Make) -> None:
    task = toy_task()
    assert "needs a limit" in str(ShiftAddLLM().supports(task))
    assert ShiftAddLLM(bits=3).supports(task) is None
    assert "flops_ratio" in str(ShiftAddLLM().supports(limited(task, flops_ratio=0.75)))
    tight = toy_task(stored_ratio=0.1)
    assert "still" in str(ShiftAddLLM().supports(tight))


@pytest.mark.gpu
def test_the_same_code_runs_on_a_gpu(cuda: str, toy_task: Make) -> None:
    weight = normal(64, 96)
    on_cpu = ShiftAddLinear(binary_codes(weight, None, 3, 3, 1, 3))
    on_gpu = ShiftAddLinear(binary_codes(weight.to(cuda), None, 3, 3, 1, 3))
    x = normal(4, 96)
    torch.testing.assert_close(on_gpu(x.to(cuda)).cpu(), on_cpu(x), rtol=1e-3, atol=1e-3)
    task = toy_task(model=toy_task().model.to(cuda))
    assert ShiftAddLLM(bits=3, samples=4).build(task) is not None
