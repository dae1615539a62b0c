"""GPTQ: error against round to nearest, against brute force, and over a whole model."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import nn

from methods._techniques.grid import Grid, Quantised, fit, nearest
from methods._techniques.hessian import output_error
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.quantisation._gptq import Rounding, _greedy, gptq
from methods.lm_compression.quantisation._precision import block_linears
from methods.lm_compression.quantisation.gptq import GPTQ
from methods.lm_compression.quantisation.rtn import RTN
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import drawn

Make = Callable[..., CausalLMTask]
SMALL = {"samples": 4, "length": 64}


def how(bits: int = 3, group: int = 16, act_order: bool = False, damping: float = 0.01, clip: bool = True) -> Rounding:
    return Rounding(bits, group, clip, damping, act_order)


def problem(rows: int = 24, columns: int = 48, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights, and the Hessian of inputs that hang together, some large."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(200, columns, generator=generator) @ torch.randn(columns, columns, generator=generator)
    inputs *= torch.rand(columns, generator=generator) * 3
    return torch.randn(rows, columns, generator=generator), inputs.T @ inputs / 200


def error(quantised: Quantised, weight: torch.Tensor, hessian: torch.Tensor) -> torch.Tensor:
    return output_error(quantised.values - weight, hessian)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_no_row_is_worse_than_round_to_nearest_and_the_whole_is_better(bits: int, act_order: bool, seed: int) -> None:
    weight, hessian = problem(seed=seed)
    ours = error(gptq(weight, hessian, how(bits, act_order=act_order)), weight, hessian)
    theirs = error(nearest(weight, bits, 16, clip=True), weight, hessian)
    assert (ours <= theirs).all()
    assert ours.sum() < 0.8 * theirs.sum()


def test_with_two_columns_it_is_the_best_answer_to_the_first_rounding() -> None:
    """Against every code of the second column, the first being rounded to nearest."""
    weight, hessian = problem(rows=40, columns=2)
    exact = how(bits=3, group=2, act_order=True, damping=0.0, clip=False)
    grid = Grid(3, 2, torch.full((40, 1), 0.6), torch.full((40, 1), 2.7))  # levels from -2.1 to 2.1
    found = _greedy(weight, hessian, grid, exact)
    assert (found.codes != grid.nearest(weight)).any()
    first = int(hessian.diagonal().argmax())
    assert torch.equal(found.codes[:, first], grid.nearest(weight)[:, first])
    tried = []
    for code in range(8):
        codes = found.codes.clone()
        codes[:, 1 - first] = code
        tried.append(error(Quantised(grid, codes), weight, hessian))
    torch.testing.assert_close(error(found, weight, hessian), torch.stack(tried).amin(0))


def test_it_comes_near_the_best_of_all_codes() -> None:
    """Brute force over 4 columns of 2 bits: on the same grid GPTQ is below round to nearest, and not below the best."""
    weight, hessian = problem(rows=30, columns=4, seed=3)
    static = how(bits=2, group=4, act_order=True, damping=0.0, clip=False)
    grid = fit(weight, 2, 4, clip=False)
    every = torch.tensor(list(product(range(4), repeat=4)), dtype=torch.uint8)
    best = torch.stack([error(Quantised(grid, code.expand(30, 4)), weight, hessian) for code in every]).amin(0)
    ours = error(gptq(weight, hessian, static), weight, hessian)
    theirs = error(Quantised(grid, grid.nearest(weight)), weight, hessian)
    assert (ours >= best * (1 - 1e-9)).all()
    assert (ours - best).sum() < 0.5 * (theirs - best).sum()


@pytest.mark.parametrize("act_order", [False, True])
def test_inputs_that_do_not_hang_together_leave_round_to_nearest(act_order: bool) -> None:
    weight, _ = problem()
    hessian = torch.diag(torch.rand(48, generator=torch.Generator().manual_seed(0)) + 0.1)
    found, rounded = gptq(weight, hessian, how(act_order=act_order)), nearest(weight, 3, 16, clip=True)
    assert torch.equal(found.values, rounded.values)


@pytest.mark.parametrize("act_order", [False, True])
def test_blocks_of_columns_change_nothing_but_the_order_of_sums(
    monkeypatch: pytest.MonkeyPatch, act_order: bool
) -> None:
    weight, hessian = problem()
    settings = how(bits=8, act_order=act_order)
    whole = gptq(weight, hessian, settings)
    monkeypatch.setattr("methods.lm_compression.quantisation._gptq.BLOCK", 5)
    assert (gptq(weight, hessian, settings).codes == whole.codes).float().mean() > 0.99


def test_a_group_gets_its_grid_from_the_weights_as_they_are_when_its_turn_comes() -> None:
    weight, hessian = problem()
    moving = _greedy(weight, hessian, fit(weight, 3, 16, clip=True), how())
    before = fit(weight, 3, 16, clip=True)
    assert torch.equal(moving.grid.scale[:, 0], before.scale[:, 0])
    assert (moving.grid.scale[:, 1:] != before.scale[:, 1:]).any()
    static = _greedy(weight, hessian, before, how(act_order=True))
    assert torch.equal(static.grid.scale, before.scale)


def test_dead_inputs_and_few_tokens_do_no_harm() -> None:
    weight, hessian = problem()
    hessian[5] = 0
    hessian[:, 5] = 0
    found = gptq(weight, hessian, how())
    assert found.values.isfinite().all()
    assert (found.values - weight).abs().max() < 10


def test_over_a_model_outputs_move_less_than_with_round_to_nearest(toy_task: Make) -> None:
    task = toy_task()
    windows = calibration_batch(task, 8, 64)

    def states(model: nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return model.get_decoder()(windows).last_hidden_state.float()

    dense = states(task.model)
    ours = states(GPTQ(bits=3, samples=32, length=64).build(task))
    theirs = states(RTN(bits=3).build(task))
    assert (ours - dense).norm() < 0.95 * (theirs - dense).norm()


@pytest.mark.parametrize("act_order", [False, True])
def test_the_first_layer_is_that_of_the_function_on_the_inputs_that_the_model_sees(
    toy_task: Make, act_order: bool
) -> None:
    """Queries of block 0, from the quantised embeddings on, step by step."""
    task = toy_task()
    candidate = GPTQ(bits=4, act_order=act_order, **SMALL).build(task)
    windows = calibration_batch(toy_task(), 4, 64)
    with torch.no_grad():
        inputs = task.model.model.layers[0].input_layernorm(candidate.get_input_embeddings()(windows))
    rows = inputs.flatten(0, 1).float()
    weight = task.model.model.layers[0].self_attn.q_proj.weight.detach()
    expected = gptq(weight, rows.T @ rows / len(rows), how(4, 64, act_order, clip=False)).values
    eye = torch.eye(64, dtype=torch.bfloat16)
    found = candidate.model.layers[0].self_attn.q_proj(eye).T.float()
    assert ((found - expected).abs() < 0.02 * expected.abs().max()).float().mean() > 0.995


def test_every_linear_is_replaced_and_the_dense_model_left(toy_task: Make) -> None:
    task = toy_task()
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    candidate = GPTQ(bits=3, **SMALL).build(task)
    assert block_linears(candidate) == []
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())
    assert drawn(task)["calibration_tokens"] == 4 * 64


def test_it_is_deterministic_and_as_large_as_rtn(toy_task: Make) -> None:
    task = toy_task()
    one, two = (GPTQ(bits=3, **SMALL).build(toy_task()).state_dict() for _ in range(2))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    rtn = RTN(bits=3).build(task).state_dict()
    assert {name: value.shape for name, value in one.items()} == {name: value.shape for name, value in rtn.items()}
