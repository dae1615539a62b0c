"""Round to nearest: bits by limit, tied embeddings, the model's behaviour."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from methods._techniques.grid import nearest
from methods._techniques.packed import PackedEmbedding
from methods.lm_compression.quantisation._precision import LADDER, Precision, blank, most_bits
from methods.lm_compression.quantisation.int8_weight_only import Int8WeightOnly
from methods.lm_compression.quantisation.rtn import RTN
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import limited, text_of

Make = Callable[..., CausalLMTask]


def logits(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(ids).logits.float()


def sample(task: CausalLMTask, tokens: int = 24) -> torch.Tensor:
    return text_of(task)[: 2 * tokens].view(2, tokens)


def test_errors_shrink_with_the_bits(toy_task: Make) -> None:
    task = toy_task()
    dense = logits(task.model, sample(task))
    errors = [
        float((logits(RTN(bits=bits).build(task), sample(task)) - dense).norm() / dense.norm()) for bits in (8, 4, 3, 2)
    ]
    assert errors[0] < 0.05
    assert errors == sorted(errors)


def test_a_clipped_range_leaves_less_error(toy_task: Make) -> None:
    task = toy_task()
    name = "model.layers.0.mlp.up_proj"
    dense = task.model.get_submodule(name).weight.float()
    clipped, whole = (
        RTN(bits=2, clip=clip).build(task).get_submodule(name)(torch.eye(dense.shape[1], dtype=task.model.dtype)).T
        for clip in (True, False)
    )
    assert (clipped.float() - dense).norm() < 0.99 * (whole.float() - dense).norm()


def test_weights_share_a_step_in_groups_of_the_size_that_is_asked_for(toy_task: Make) -> None:
    task = toy_task(model=toy_task().model.float())
    name = "model.layers.2.mlp.down_proj"
    weight = task.model.get_submodule(name).weight.detach()
    found = RTN(bits=3, group=16).build(task).get_submodule(name)(torch.eye(weight.shape[1])).T
    asked, usual = (nearest(weight, 3, group, clip=True).values for group in (16, 64))
    assert (found - asked).norm() < 0.05 * (found - usual).norm()


def test_eight_bits_are_those_of_the_int8_control(toy_task: Make) -> None:
    task = toy_task()
    ours, theirs = (method.build(task) for method in (RTN(bits=8), Int8WeightOnly()))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("precision", LADDER)
def test_what_is_weighed_weighs_what_is_built(toy_task: Make, precision: Precision) -> None:
    task = toy_task()
    predicted = task.weigh(blank(task.model, precision, 64))["stored_ratio"]
    tight = toy_task(stored_ratio=predicted)
    assert most_bits(tight, None, 64) == precision
    built = RTN().build(tight)
    assert task.weigh(built)["stored_ratio"] == predicted
    if precision == LADDER[-1]:
        below = toy_task(stored_ratio=predicted - 1e-6)
        assert f"still {predicted:.3f}" in str(RTN().supports(below))


def test_limits_say_who_supports_them(toy_task: Make) -> None:
    task = toy_task()
    half = limited(task, stored_ratio=0.6)
    assert RTN().supports(half) is None
    assert "needs a limit" in str(RTN().supports(task))
    assert RTN(bits=3).supports(task) is None
    assert "3 bits" in str(RTN(bits=3).supports(half))
    for method in (RTN(), RTN(bits=3)):
        assert "flops_ratio" in str(method.supports(limited(task, flops_ratio=0.75)))


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_tied_embeddings_stay_tied_and_the_dense_model_unchanged(toy_task: Make, bits: int) -> None:
    task = toy_task()
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    candidate = RTN(bits=bits).build(task)
    table, head = candidate.get_input_embeddings(), candidate.get_output_embeddings()
    mine = dict(table.named_buffers())
    assert all(value is mine[name] for name, value in head.named_buffers() if name != "bias")
    pointers = {tensor.data_ptr() for tensor in task.model.state_dict().values()}
    assert pointers.isdisjoint(tensor.data_ptr() for tensor in candidate.state_dict().values())
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())
    if bits < 8:
        assert isinstance(table, PackedEmbedding)


@pytest.mark.parametrize("bits", [4, 3, 2])
def test_generation_works_with_and_without_cache(toy_task: Make, bits: int) -> None:
    task = toy_task()
    candidate = RTN(bits=bits).build(toy_task(model=task.model.float()))
    settings = {"max_new_tokens": 6, "do_sample": False}
    cached = candidate.generate(sample(task)[:, :6], use_cache=True, **settings)
    assert torch.equal(cached, candidate.generate(sample(task)[:, :6], use_cache=False, **settings))


def test_a_state_dict_restores_a_candidate(toy_task: Make) -> None:
    task = toy_task()
    one = RTN(bits=3).build(task)
    other = blank(task.model, Precision(3, 3), 64)
    other.load_state_dict(one.state_dict())
    assert torch.equal(logits(one, sample(task)), logits(other, sample(task)))


@pytest.mark.gpu
@pytest.mark.parametrize("bits", [4, 3, 2])
def test_the_same_code_runs_on_a_gpu(cuda: str, toy_task: Make, bits: int) -> None:
    task = toy_task()
    on_cpu = logits(RTN(bits=bits).build(task), sample(task))
    moved = toy_task(model=task.model.to(cuda))
    on_gpu = logits(RTN(bits=bits).build(moved), sample(task).to(cuda)).cpu()
    assert (on_gpu - on_cpu).norm() < 0.05 * on_cpu.norm()
