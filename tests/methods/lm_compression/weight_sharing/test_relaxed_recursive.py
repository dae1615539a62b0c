"""Looped blocks: stored once, run often, and made up for depth by depth."""

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contract import OverBudget
from methods.lm_compression.layer_dropping._sublayers import blocks
from methods.lm_compression.weight_sharing._looped import (
    AdaptedLinear,
    linears,
    looped,
    mean_block,
    residual_adapter,
    tied_to,
    unloopable,
)
from methods.lm_compression.weight_sharing.relaxed_recursive import RelaxedRecursive
from suites._language.toy import toy_model
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import divergence, fittings, limited, next_token

ToyTask = Callable[..., CausalLMTask]
IDS = torch.randint(0, 256, (2, 24), generator=torch.Generator().manual_seed(1))


def dense_model() -> Any:
    """The toy in float64, with norm scales that are not 1."""
    model = toy_model().double()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.copy_(0.5 + torch.rand(weight.shape, generator=generator))
    return model


def logits(model: Any, ids: Tensor = IDS) -> Tensor:
    with torch.no_grad():
        return model(input_ids=ids).logits


def written(model: Any) -> int:
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()


def loop(model: Any, unique: int, initialisation: Any, rank: int) -> Any:
    dense = blocks(model)
    starts = [mean_block([dense[index] for index in tied]) for tied in tied_to(initialisation, len(dense), unique)]
    return looped(model, starts, residual_adapter(model, rank) if rank else None)


def test_a_looped_block_starts_as_the_mean_of_the_blocks_it_stands_for() -> None:
    model = dense_model()
    mean = mean_block(blocks(model)[1:4])
    for name in linears(mean):
        each = torch.stack([block.get_submodule(name).weight for block in blocks(model)[1:4]])
        torch.testing.assert_close(mean.get_submodule(name).weight, each.mean(0))


def test_with_updates_each_depth_has_norms_and_biases_of_its_own() -> None:
    model = dense_model()
    for block in blocks(model):  # as Qwen2 has them
        block.self_attn.q_proj.bias = torch.nn.Parameter(torch.randn(64, dtype=torch.float64))
    torch.testing.assert_close(logits(loop(model, 2, "average", 64)), logits(model))
    places = [block.input_layernorm.weight.data_ptr() for block in blocks(loop(model, 2, "average", 3))]
    assert len(set(places)) == 6
    assert not set(places) & {block.input_layernorm.weight.data_ptr() for block in blocks(model)}


def test_what_each_looped_block_starts_from() -> None:
    assert tied_to("lower", 6, 2) == [[0], [1]]
    assert tied_to("average", 6, 2) == [[0, 2, 4], [1, 3, 5]]
    assert tied_to("stepwise", 6, 3) == [[0], [2], [5]]
    assert tied_to("stepwise", 6, 1) == [[0]]
    spaced = [index for (index,) in tied_to("stepwise", 30, 15)]
    assert (spaced[0], spaced[-1]) == (0, 29)
    assert {after - before for before, after in pairwise(spaced)} == {2, 3}


@pytest.mark.parametrize("initialisation", ["average", "stepwise", "lower"])
def test_full_rank_updates_give_the_dense_model(initialisation: str) -> None:
    model = dense_model()
    torch.testing.assert_close(logits(loop(model, 2, initialisation, 64)), logits(model))
    assert not torch.allclose(logits(loop(model, 2, initialisation, 63)), logits(model))


def test_an_update_is_the_truncated_svd_of_what_is_lacking() -> None:
    model = dense_model()
    candidate = loop(model, 3, "average", 5)
    for depth, block in enumerate(blocks(candidate)):
        wanted = blocks(model)[depth]
        for name in linears(wanted):
            layer = block.get_submodule(name)
            assert isinstance(layer, AdaptedLinear)
            lacking = wanted.get_submodule(name).weight - layer.shared.weight  # type: ignore[operator]
            up, down = layer.update.up.weight, layer.update.down.weight  # type: ignore[union-attr]
            values = torch.linalg.svdvals(lacking)
            torch.testing.assert_close((lacking - up @ down).square().sum(), values[5:].square().sum())
            torch.testing.assert_close(down @ down.T, torch.eye(5, dtype=torch.float64))  # A = V^T, B = U S


@pytest.mark.parametrize("initialisation", ["stepwise", "lower"])
def test_without_updates_the_blocks_are_run_in_a_loop(initialisation: str) -> None:
    model = dense_model()
    expected = copy.deepcopy(model)
    starts = [index for (index,) in tied_to(initialisation, 6, 2)]  # type: ignore[arg-type]
    for depth in range(6):
        expected.model.layers[depth].load_state_dict(model.model.layers[starts[depth % 2]].state_dict())
    torch.testing.assert_close(logits(loop(model, 2, initialisation, 0)), logits(expected))


@pytest.mark.parametrize("initialisation", ["stepwise", "average", "lower"])
def test_the_build_starts_from_what_it_is_told_to(initialisation: Any, toy_task: ToyTask) -> None:
    task = toy_task("size-50")
    candidate = RelaxedRecursive(adapters=False, initialisation=initialisation, training="none").build(task)
    torch.testing.assert_close(logits(candidate), logits(loop(task.model, 2, initialisation, 0)))


def test_with_updates_too_the_build_goes_round_the_looped_blocks(toy_task: ToyTask) -> None:
    """Depth l uses block l modulo 2, the mean of those that it stands for, and what it lacks then as far as its rank
    goes."""
    task = toy_task("size-50")
    candidate = RelaxedRecursive(training="none").build(task)
    dense = blocks(task.model)
    for depth, block in enumerate(blocks(candidate)):
        for name in linears(dense[depth]):
            layer: Any = block.get_submodule(name)
            each = torch.stack([one.get_submodule(name).weight.detach() for one in list(dense)[depth % 2 :: 2]])
            torch.testing.assert_close(layer.shared.weight, each.mean(0))
            lacking, rank = each[depth // 2] - each.mean(0), layer.update.rank
            up, down = layer.update.up.weight, layer.update.down.weight
            assert 0 < rank < min(lacking.shape)
            left = torch.linalg.svdvals(lacking)[rank:].square().sum()
            torch.testing.assert_close((lacking - up @ down).square().sum(), left, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("training", ["next-token", "distillation"])
def test_what_is_trained_is_the_looped_model_by_what_it_is_told(
    training: str, toy_task: ToyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = fittings(monkeypatch, "methods.lm_compression.weight_sharing.relaxed_recursive")
    task = toy_task("size-50")
    model = RelaxedRecursive(training=training).build(task)
    (found,) = trained
    assert found.model is model
    with torch.no_grad():
        loss = float(found.loss(IDS))
    wanted = {"next-token": next_token(model, IDS), "distillation": divergence(task.model, model, IDS)}
    assert loss == pytest.approx(wanted[training], rel=1e-4)
    assert loss != pytest.approx(divergence(model, task.model, IDS), rel=1e-2)


def test_looped_weights_are_stored_once_and_stay_shared_in_training(toy_task: ToyTask) -> None:
    task = toy_task("size-50")
    method = RelaxedRecursive(adapters=False, initialisation="stepwise", learning_rate=1e-3)
    untrained = replace(method, training="none").build(task)
    candidate = method.build(task)
    per_block = sum(weight.numel() for weight in blocks(task.model)[0].parameters()) * 4
    for model in (untrained, candidate):
        assert written(task.model) - written(model) == pytest.approx(4 * per_block, rel=0.03)
        for name in linears(blocks(model)[0]):
            places = {block.get_submodule(name).weight.data_ptr() for block in blocks(model)}
            assert len(places) == 2  # of six depths
    assert len(blocks(candidate)) == 6
    changed = {
        name for name, tensor in candidate.state_dict().items() if not torch.equal(tensor, untrained.state_dict()[name])
    }
    assert changed == set(candidate.state_dict())  # everything trains, the embeddings too
    own = {tensor.data_ptr() for tensor in candidate.state_dict().values()}
    assert not own & {tensor.data_ptr() for tensor in task.model.state_dict().values()}


@pytest.mark.parametrize("training", ["next-token", "distillation"])
def test_training_brings_its_loss_down(training: str, toy_task: ToyTask) -> None:
    task = toy_task("size-50")
    method = RelaxedRecursive(training=training, learning_rate=2e-3)
    model = RelaxedRecursive(training="none").build(task)
    losses = method._train(model, task)
    assert sum(losses[-2:]) < sum(losses[:2])


@pytest.mark.parametrize(("point", "unique"), [("size-75", 3), ("size-50", 2)])
def test_limits_are_met_by_most_blocks_and_the_highest_rank(point: str, unique: int, toy_task: ToyTask) -> None:
    task = toy_task(point)
    method = RelaxedRecursive(training="none")
    assert method.supports(task) is None
    candidate = method.build(task)
    layers = [layer for layer in candidate.modules() if isinstance(layer, AdaptedLinear)]
    assert len(layers) == 6 * 7
    assert len({layer.shared.weight.data_ptr() for layer in layers}) == 7 * unique  # type: ignore[union-attr,operator]
    rank = max(layer.update.rank for layer in layers)  # type: ignore[type-var]
    assert task.weigh(candidate)["stored_ratio"] <= task.limits.result["stored_ratio"]
    assert method._weigh(task, unique, rank)["stored_ratio"] == task.weigh(candidate)["stored_ratio"]  # type: ignore[arg-type]
    assert method._weigh(task, unique, rank + 1)["stored_ratio"] > task.limits.result["stored_ratio"]  # type: ignore[operator]


def test_what_looping_cannot_do_is_said(toy_task: ToyTask) -> None:
    method = RelaxedRecursive()
    for point, words in (("compute-75", "bytes"), ("unlimited", "bytes")):
        task = toy_task(point)
        assert words in str(method.supports(task))
    task = toy_task("size-50")
    impossible = limited(task, stored_ratio=0.1)
    assert "one looped block" in str(method.supports(impossible))
    with pytest.raises(OverBudget):
        method.build(impossible)
    assert "flops_ratio" in str(method.supports(limited(task, stored_ratio=0.5, flops_ratio=0.5)))


def test_blocks_that_are_not_alike_cannot_be_looped() -> None:
    model = dense_model()
    assert unloopable(model) is None
    mlp = blocks(model)[3].mlp
    narrow = [torch.nn.Linear(*shape, bias=False) for shape in ((64, 8), (64, 8), (8, 64))]
    mlp.gate_proj, mlp.up_proj, mlp.down_proj = narrow
    assert "block 3 has other linear layers" in str(unloopable(model))


def test_every_depth_has_its_own_cache(toy_task: ToyTask) -> None:
    task = toy_task("size-50")
    candidate: Any = RelaxedRecursive(training="none").build(task)
    first = candidate(input_ids=IDS[:, :10], use_cache=True)
    assert len(first.past_key_values.layers) == 6
    rest = candidate(input_ids=IDS[:, 10:], past_key_values=first.past_key_values, use_cache=True).logits
    torch.testing.assert_close(torch.cat([first.logits, rest], 1), logits(candidate), atol=1e-4, rtol=1e-4)
    texts = [candidate.generate(IDS[:1, :6], max_new_tokens=8, do_sample=False, use_cache=use) for use in (True, False)]
    assert torch.equal(*texts)
