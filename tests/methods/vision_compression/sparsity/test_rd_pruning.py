"""RD pruning: the programme against brute force, the curves, and that a net is pruned by them."""

from itertools import product

import numpy as np
import pytest
import torch

from methods.vision_compression._layers import layers
from methods.vision_compression.sparsity import rd_pruning
from methods.vision_compression.sparsity.rd_pruning import RDPruning, cheapest, counts, distortion, jointly
from tests.methods.vision_compression.conftest import Make, images


@pytest.mark.parametrize("seed", range(8))
def test_the_programme_finds_what_brute_force_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distortions, costs = rng.random((4, 6)), rng.integers(0, 12, (4, 6))
    costs[:, -1] = 0
    for budget in (0, 1, 7, 20, 60):
        choices = [each for each in product(range(6), repeat=4) if sum(costs[range(4), each]) <= budget]
        least = min(sum(distortions[range(4), each]) for each in choices)
        found = cheapest(distortions, costs, budget)
        assert sum(costs[range(4), found]) <= budget
        assert sum(distortions[range(4), found]) == pytest.approx(least)


def test_a_budget_that_nothing_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="costs 3 or less"):
        cheapest(np.ones((2, 1)), np.full((2, 1), 2), 3)


def test_distortion_is_the_worst_images_mean_squared_change_and_leaves_the_model(compression: Make) -> None:
    task = compression()
    model, inputs = task.model, images(task)
    before = model.fc.weight.detach().clone()
    with torch.no_grad():
        dense = model(inputs)
        nothing = (model.fc.bias - dense).square().mean(-1)
    found = distortion(model, "fc", [before.numel(), 0], inputs, worst=True)
    assert found[0] == 0
    assert found[1] == pytest.approx(float(nothing.max()), rel=1e-4)
    assert distortion(model, "fc", [0], inputs, worst=False)[0] == pytest.approx(float(nothing.mean()), rel=1e-4)
    assert torch.equal(model.fc.weight, before)


def test_no_more_are_kept_than_may_be_and_masks_only_grow(compression: Make) -> None:
    task = compression()
    model, given = task.model, {"images": images(task), "amounts": np.linspace(0, 1, 6), "worst": True}
    masks = jointly(model, 50_000, **given)
    assert 40_000 < sum(int(mask.sum()) for mask in masks.values()) <= 50_000
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_submodule(name).weight *= mask
    later = jointly(model, 20_000, **given)
    assert all(not (later[name] & ~masks[name]).any() for name in masks)


def test_zeros_need_not_be_kept() -> None:
    weight = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    assert counts(weight, [0.0, 0.5, 1.0]) == [1, 1, 0]


def test_a_layer_that_matters_is_left_alone(compression: Make) -> None:
    task = compression()
    with torch.no_grad():
        task.model.fc.weight *= 100
    given = {"images": images(task), "amounts": np.linspace(0, 1, 11), "worst": True}
    assert jointly(task.model, 40_000, **given)["fc"].float().mean() > 0.8


def test_build_prunes_as_the_programme_says_and_meets_the_limit(
    compression: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = compression("size-10", passes=0)
    asked = []

    def dense_head(distortions: np.ndarray, costs: np.ndarray, budget: int) -> list[int]:
        asked.append(distortions.shape)
        return [costs.shape[1] - 1] * (len(costs) - 1) + [0]

    monkeypatch.setattr(rd_pruning, "cheapest", dense_head)
    built = RDPruning(coarse=2, images=4).build(task)
    assert asked == [(len(layers(task.model)), 13)]
    assert built.fc.store.values.numel() == task.model.fc.weight.numel()
    monkeypatch.undo()
    task = compression("size-10")
    built = RDPruning(coarse=2, images=4, rounds=2).build(task)
    assert task.limits.met_by(task.weigh(built))
    assert task.weigh(built)["stored_ratio"] > 0.08
