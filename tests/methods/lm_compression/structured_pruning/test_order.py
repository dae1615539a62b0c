"""The order in which structures leave, and how many of them must."""

from collections.abc import Callable

import pytest
import torch

from bench.contract import OverBudget
from methods.lm_compression.structured_pruning._cut import cut
from methods.lm_compression.structured_pruning._order import ranking, shortest_prefix, standardised, unmet, without
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import limited
from tests.methods.lm_compression.structured_pruning.conftest import parameters, random_model


def random_scores(width: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.rand(width, generator=generator, dtype=torch.float64) for _ in range(4)]


def test_layers_of_unlike_scale_are_comparable() -> None:
    scores = random_scores(64)[0]
    torch.testing.assert_close(standardised(scores), standardised(1000 * scores + 7))
    assert standardised(torch.full((5,), 3.0)).tolist() == [0.0] * 5


def test_every_layer_keeps_its_best_group_and_block() -> None:
    model = random_model()
    units = ranking(model, random_scores(48), mlp := random_scores(64), block=8)
    kept = without(model, units)
    assert [len(layer.groups) for layer in kept] == [1] * 4
    for layer, scores in zip(kept, mlp, strict=True):
        assert set(layer.neurons.tolist()) == set(scores.argsort()[-8:].tolist())


def test_blocks_leave_in_the_order_of_their_neurons() -> None:
    model = random_model()
    mlp = random_scores(64)
    order = ranking(model, random_scores(48), mlp, block=8)
    left = [member for unit in order if (unit.layer, unit.kind) == (1, "neurons") for member in unit.members]
    assert left == mlp[1].argsort().tolist()[:56]


def test_units_say_how_many_parameters_go_with_them() -> None:
    model = random_model()
    for unit in ranking(model, random_scores(48), random_scores(64), block=8)[::5]:
        assert unit.parameters == parameters(model) - parameters(cut(model, without(model, [unit])))


@pytest.mark.parametrize(
    "limits", [{"stored_ratio": 0.8}, {"flops_ratio": 0.6}, {"stored_ratio": 0.8, "flops_ratio": 0.7}]
)
def test_limits_are_met_and_one_unit_less_would_not_meet_them(
    make_task: Callable[..., CausalLMTask], limits: dict
) -> None:
    task = make_task(**limits)
    order = ranking(task.model, random_scores(48), random_scores(64), block=4)

    def candidate(units):
        return cut(task.model, without(task.model, units))

    gone = shortest_prefix(task, order, candidate)
    assert task.limits.met_by(task.weigh(candidate(gone)))
    assert not task.limits.met_by(task.weigh(candidate(gone[:-1])))


def test_a_limit_out_of_reach_is_said_beforehand_and_raised(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.05)
    reason = unmet(task, 8)
    assert reason is not None
    assert reason.startswith("stored_ratio is still 0.")
    order = ranking(task.model, random_scores(48), random_scores(64), block=8)
    with pytest.raises(OverBudget, match="stored_ratio"):
        shortest_prefix(task, order, lambda units: cut(task.model, without(task.model, units)))


@pytest.mark.parametrize("block", [8, 12])
def test_what_is_said_to_be_reachable_is_just_what_the_whole_order_reaches(
    make_task: Callable[..., CausalLMTask], block: int
) -> None:
    task = make_task()
    order = ranking(task.model, random_scores(48), random_scores(64), block)
    reach = task.weigh(cut(task.model, without(task.model, order)))["stored_ratio"]
    assert unmet(limited(task, stored_ratio=reach), block) is None
    assert unmet(limited(task, stored_ratio=reach * 0.999), block) is not None


def test_without_a_limit_there_is_nothing_to_do(make_task: Callable[..., CausalLMTask]) -> None:
    assert "dense" in str(unmet(make_task(), 8))
