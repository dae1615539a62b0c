"""Every method of the family: limits met by the fewest removals, the task left alone, no silent absence."""

import copy

import pytest
import torch

from bench.contract import OverBudget
from methods.lm_compression.layer_dropping._limits import take_until_met
from methods.lm_compression.layer_dropping._sublayers import Sublayer, drop, sublayers, whole_block
from methods.lm_compression.layer_dropping.attention_drop import AttentionDrop
from methods.lm_compression.layer_dropping.finercut import FinerCut
from methods.lm_compression.layer_dropping.random_block_drop import RandomBlockDrop
from methods.lm_compression.layer_dropping.random_sublayer_drop import RandomSublayerDrop
from methods.lm_compression.layer_dropping.unified_layer_skipping import UnifiedLayerSkipping
from tests.methods.lm_compression.compression_toys import drawn

from .conftest import random_model

METHODS = {
    "joint": AttentionDrop(),
    "attention": AttentionDrop(kind="attention"),
    "mlp": AttentionDrop(kind="mlp"),
    "block": AttentionDrop(kind="block"),
    "finercut": FinerCut(samples=2, length=16, stride=1),
    "stride": UnifiedLayerSkipping(),
    "even": UnifiedLayerSkipping(spacing="even"),
    "random-block": RandomBlockDrop(),
    "random-sublayer": RandomSublayerDrop(),
}
WITHIN_REACH = {"flops_ratio": 0.8, "stored_ratio": 0.9}


@pytest.fixture(params=METHODS.values(), ids=METHODS)
def method(request):
    return request.param


def test_limits_are_met_and_the_task_is_unchanged(method, make_task, prompt):
    task = make_task(**WITHIN_REACH)
    before, config = copy.deepcopy(task.model.state_dict()), task.model.config.to_dict()
    assert method.supports(task) is None
    candidate = method.build(task)
    assert task.limits.met_by(task.weigh(candidate))
    assert candidate(prompt).logits.shape == (*prompt.shape, task.model.config.vocab_size)
    after = task.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert task.model.config.to_dict() == config
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in task.model.modules())
    own = {parameter.data_ptr() for parameter in task.model.parameters()}
    assert not any(parameter.data_ptr() in own for parameter in candidate.parameters())


def test_the_dense_model_is_kept_where_it_meets_the_limits(method, make_task, prompt):
    task = make_task(flops_ratio=1.0)
    candidate = method.build(task)
    with torch.no_grad():
        assert torch.equal(candidate(prompt).logits, task.model(prompt).logits)


def test_a_looser_limit_never_removes_more(method, make_task):
    task = make_task()
    sizes = [
        task.weigh(method.build(make_task(flops_ratio=limit)))["flops_ratio"] for limit in (0.8, 0.86, 0.92, 0.999)
    ]
    assert sizes == sorted(sizes)
    assert sizes[-1] < 1.0


def test_without_a_limit_on_the_result_there_is_a_reason(method, make_task):
    assert "limit" in method.supports(make_task())


def test_a_limit_out_of_reach_is_a_reason_and_not_a_wrong_candidate(method, make_task):
    task = make_task(flops_ratio=0.01)
    assert "flops_ratio" in method.supports(task)
    with pytest.raises(OverBudget):
        method.build(task)


def test_a_model_of_another_architecture_is_a_reason(method, make_task):
    odd = drop(random_model(), [Sublayer(1, "attention")])
    assert "block 1" in method.supports(make_task(odd, **WITHIN_REACH))


def test_builds_are_deterministic(method, make_task):
    first, second = (method.build(make_task(seed=3, **WITHIN_REACH)).state_dict() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_calibration_stays_within_its_allowance(method, make_task):
    task = make_task(supplies={"calibration_tokens": 70}, **WITHIN_REACH)
    method.build(task)
    assert drawn(task)["calibration_tokens"] <= 70


@pytest.mark.parametrize("limit", [0.95, 0.8, 0.6, 0.45, 0.3])
@pytest.mark.parametrize("figure", ["flops_ratio", "stored_ratio"])
@pytest.mark.parametrize("seed", [0, 1])
def test_one_removal_fewer_would_break_the_limit(limit, figure, seed, make_task):
    task = make_task(random_model(blocks=6), **{figure: limit})
    every = sublayers(task.model)
    order = [every[i] for i in torch.randperm(12, generator=torch.Generator().manual_seed(seed)).tolist()]
    taken = take_until_met(task, iter(order))
    assert taken == order[: len(taken)]
    assert task.limits.met_by(task.weigh(drop(task.model, taken)))
    assert not task.limits.met_by(task.weigh(drop(task.model, taken[:-1])))


def test_a_dear_order_is_asked_for_no_more_than_needed(make_task):
    task, asked = make_task(random_model(blocks=6), flops_ratio=0.7), []

    def order():
        for sublayer in sublayers(task.model):
            asked.append(sublayer)
            yield sublayer

    taken = take_until_met(task, order())
    assert asked == taken


def test_an_order_that_ends_too_early_is_over_budget(make_task):
    task = make_task(flops_ratio=0.5)
    with pytest.raises(OverBudget):
        take_until_met(task, iter(whole_block(0)))


@pytest.mark.parametrize(("limit", "supported"), [(0.9, True), (0.8, True), (0.6, False)])
def test_attention_alone_reaches_so_far_and_no_further(limit, supported, make_task):
    """Attention is 1728 of the 4608 weights of a block here, 4 blocks and a head of 1464: 0.65 of the FLOPs stay."""
    reason = AttentionDrop(kind="attention").supports(make_task(flops_ratio=limit))
    assert (reason is None) == supported
    assert supported or "0.653" in reason
