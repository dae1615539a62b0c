"""What all that prune weights one by one share, and the controls."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from bench.contract import Method
from methods.vision_compression._folding import folded
from methods.vision_compression._layers import layers
from methods.vision_compression.sparsity import _sparse, erk, global_magnitude, lamp, random_sparsity, uniform_magnitude
from methods.vision_compression.sparsity._sparse import (
    Allocate,
    Survivors,
    affordable,
    by_magnitude,
    largest,
    packed,
    uniform,
)
from tests.methods.vision_compression.conftest import Make, images, same

CONTROLS = [
    uniform_magnitude.UniformMagnitude(),
    global_magnitude.GlobalMagnitude(),
    lamp.Lamp(),
    erk.Erk(),
    random_sparsity.RandomSparsity(),
]


@pytest.mark.parametrize("share", [0.0, 0.002, 0.05, 0.12, 0.13, 0.5, 1.0])
def test_survivors_are_what_they_were_and_the_rest_is_zero(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(40, 250, generator=generator)
    kept = torch.rand(40, 250, generator=generator) < share
    assert torch.equal(Survivors(weight, kept)().view(40, 250), weight * kept)


@pytest.mark.parametrize("base", ["cnn", "vit"])
def test_a_net_of_which_all_survives_is_the_dense_one(compression: Make, base: str) -> None:
    task = compression(base=base)
    whole = {name: torch.ones_like(each.weight, dtype=torch.bool) for name, each in layers(task.model).items()}
    assert same(packed(task.model, whole), task.model, images(task))
    assert same(folded(task.model), task.model, images(task))


@pytest.mark.parametrize("point", ["size-50", "size-25", "size-10"])
def test_the_budget_is_spent_to_a_few_weights(compression: Make, point: str) -> None:
    task = compression(point)
    found = layers(task.model)
    for more in (0, 3 * _sparse.SLACK * len(found)):
        counts = uniform({name: each.weight for name, each in found.items()}, affordable(task) + more)
        masks = {name: largest(found[name].weight, count) for name, count in counts.items()}
        assert task.limits.met_by(task.weigh(packed(task.model, masks))) is (more == 0)


@pytest.mark.parametrize("method", CONTROLS, ids=lambda method: method.card.slug)
def test_a_control_meets_the_limit_and_zeros_stay(compression: Make, method: Method) -> None:
    task = compression("size-25")
    assert method.supports(task) is None
    built = method.build(task)
    assert task.limits.met_by(task.weigh(built))
    assert task.weigh(built)["stored_ratio"] > 0.23
    assert "FLOPs stay" in str(method.supports(compression("compute-50")))


@pytest.mark.parametrize(
    ("method", "allocate"),
    [
        (uniform_magnitude.UniformMagnitude(), uniform),
        (global_magnitude.GlobalMagnitude(), global_magnitude.smallest_anywhere),
        (lamp.Lamp(), lamp.lowest_scores),
        (erk.Erk(), erk.by_sides),
        (random_sparsity.RandomSparsity(), uniform),
    ],
    ids=lambda given: given.card.slug if isinstance(given, Method) else "",
)
def test_each_layer_keeps_what_its_control_allots(compression: Make, method: Method, allocate: Allocate) -> None:
    task = compression("size-25")
    built = method.build(task)
    weights = {name: each.weight.detach() for name, each in layers(task.model).items()}
    assert any(bool((each < 0).any()) for each in weights.values())
    kept = {name: int(built.get_submodule(name).store().count_nonzero()) for name in weights}
    assert kept == allocate(weights, affordable(task))


WEIGHTS: Mapping[str, Tensor] = {
    "one": torch.tensor([[1.0, -2.0, 3.0]]),
    "two": torch.tensor([[0.1, 0.2, -10.0, 10.0]]),
}


def test_allocations_by_hand() -> None:
    assert global_magnitude.smallest_anywhere(WEIGHTS, 5) == {"one": 3, "two": 2}
    # LAMP: 1, 4/13, 1/14 and 1, 1/2, 0.04/200.04, ...
    assert lamp.scores(WEIGHTS["one"]).tolist() == pytest.approx([1, 4 / 13, 1 / 14])
    assert lamp.lowest_scores(WEIGHTS, 2) == {"one": 1, "two": 1}
    assert lamp.lowest_scores(WEIGHTS, 4) == {"one": 2, "two": 2}
    assert uniform(WEIGHTS, 6) == {"one": 2, "two": 3}


def test_small_layers_stay_dense_by_their_sides() -> None:
    weights = {"small": torch.ones(2, 2), "large": torch.ones(100, 100)}
    found = erk.by_sides(weights, 1_000)
    assert found["small"] == 4
    assert found["large"] == 996
    even = erk.by_sides({"a": torch.ones(10, 10), "b": torch.ones(20, 20)}, 60)
    assert even == {"a": 20, "b": 40}


def test_random_weights_hang_on_the_seed_alone(compression: Make) -> None:
    model = compression().model
    masks = [random_sparsity.drawn(torch.Generator().manual_seed(seed), model, 5_000) for seed in (0, 0, 1)]
    first = next(iter(masks[0]))
    assert torch.equal(masks[0][first], masks[1][first])
    assert not torch.equal(masks[0][first], masks[2][first])


def test_what_is_pruned_stays_zero_while_the_rest_trains(compression: Make) -> None:
    task = compression(passes=128)
    model = compression().model
    masks = by_magnitude(uniform)(model, 20_000)
    before = {name: each.weight.detach().clone() for name, each in layers(model).items()}
    _sparse.train_masked(task, model, masks, 1e-3, 128)
    for name, each in layers(model).items():
        assert not each.weight[~masks[name]].any()
        # Not those behind a channel that is dead.
        assert (each.weight[masks[name]] != before[name][masks[name]]).float().mean() > 0.5
