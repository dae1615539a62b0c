import pytest
import torch
from torch import nn

from methods.lm_finetuning.layer_sampling._galore import (
    GaLoreAdamW,
    galore_bytes,
    leading_directions,
    project,
    project_back,
)
from methods.lm_finetuning.layer_sampling._learners import Projected
from methods.lm_finetuning.layer_sampling.galore import GaLore
from suites._training.learner import Moment
from suites._training.trainer import Trainer
from tests.methods.lm_finetuning.finetuning_toys import make, toy_task

SHAPES = pytest.mark.parametrize("shape", [(6, 10), (10, 6), (7, 7)])


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def steps(optimizer: torch.optim.Optimizer, weight: torch.Tensor, gradients: list[torch.Tensor]) -> None:
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()


@SHAPES
def test_with_full_rank_it_is_adamw_on_the_rotated_gradient(shape: tuple[int, int]) -> None:
    gradients = [random(*shape, seed=seed) for seed in range(1, 6)]
    weight = random(*shape)
    basis = leading_directions(gradients[0], min(shape))
    rotated = nn.Parameter(project(weight, basis))
    steps(
        torch.optim.AdamW([rotated], lr=0.01, weight_decay=0.0), rotated, [project(each, basis) for each in gradients]
    )
    optimizer = GaLoreAdamW([{"params": [weight], "rank": min(shape)}], gap=100)
    optimizer.param_groups[0]["lr"] = 0.01
    steps(optimizer, weight, gradients)
    assert torch.allclose(weight, project_back(rotated, basis, weight.shape), atol=1e-5)


def test_without_a_rank_it_is_adamw() -> None:
    gradients = [random(5, 4, seed=seed) for seed in range(1, 6)]
    ours, theirs = random(5, 4), random(5, 4)
    optimizer = GaLoreAdamW([{"params": [ours], "lr": 0.01}], gap=3)
    steps(optimizer, ours, gradients)
    steps(torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.0), theirs, gradients)
    assert torch.allclose(ours, theirs, atol=1e-6)


@SHAPES
def test_directions_are_orthonormal_and_keep_the_most_of_the_gradient(shape: tuple[int, int]) -> None:
    gradient = random(*shape)
    basis = leading_directions(gradient, 3)
    assert torch.allclose(basis.T @ basis, torch.eye(3), atol=1e-5)
    kept = project_back(project(gradient, basis), basis, gradient.shape)
    left, values, right = torch.linalg.svd(gradient, full_matrices=False)
    assert torch.allclose(kept, left[:, :3] * values[:3] @ right[:3], atol=1e-4)
    assert leading_directions(gradient, 99).shape == (min(shape), min(shape))


def test_directions_change_every_gap_steps_and_moments_stay() -> None:
    weight = random(6, 9)
    optimizer = GaLoreAdamW([{"params": [weight], "rank": 2, "lr": 0.01}], gap=3)
    bases = []
    for seed in range(7):
        steps(optimizer, weight, [random(6, 9, seed=seed)])
        bases.append(optimizer.state[weight]["basis"].clone())
    assert torch.equal(bases[0], bases[2])
    assert not torch.allclose(bases[2].abs(), bases[3].abs())
    assert torch.equal(bases[3], bases[5])
    assert not torch.allclose(bases[5].abs(), bases[6].abs())
    assert optimizer.state[weight]["exp_avg"].shape == (2, 9)
    assert optimizer.state[weight]["step"] == 7


def test_a_step_changes_a_matrix_by_the_rank_at_most_and_other_weights_not_at_all() -> None:
    task = toy_task()
    learner = Projected(task.copied(), 3, 0.25, 20)
    Trainer(learner).step(task.training()[0], 1e-2, Moment(0, 5))
    base = dict(task.model.named_parameters())
    for name, weight in learner.model.named_parameters():
        change = weight.detach() - base[name]
        if "_proj" in name:
            assert torch.linalg.matrix_rank(change, rtol=1e-3) == 3, name
        else:
            assert not change.any(), name


def test_scale_multiplies_the_step() -> None:
    task = toy_task()
    batch = task.training()[0]
    before = task.model.model.layers[0].mlp.up_proj.weight
    changes = []
    for scale in (1.0, 0.25):
        learner = Projected(task.copied(), 3, scale, 20)
        Trainer(learner).step(batch, 1e-2, Moment(0, 5))
        changes.append(learner.model.model.layers[0].mlp.up_proj.weight - before)
    assert torch.allclose(changes[0], 4 * changes[1], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_rank_gives_way_to_the_limit_on_memory(dtype: torch.dtype) -> None:
    task = toy_task(dtype=dtype, result={"training_memory_ratio": 0.5})
    method = GaLore(rate=1e-3)
    assert method.supports(task) is None
    found = make(method, task)
    assert task.memory_ratio(found.trainer) <= 0.5
    state = found.trainer.optimizer.state  # type: ignore[union-attr]
    ranks = {each["basis"].shape[1] for each in state.values()}
    assert 4 <= max(ranks) < 64
    for master, weight in found.trainer.pairs:
        stored = sum(t.numel() * 4 for t in state[master].values() if torch.is_tensor(t))
        assert stored == galore_bytes(weight, max(ranks))


def test_points_that_are_out_of_reach_are_told() -> None:
    for result in ({"shipped_ratio": 0.5}, {"training_memory_ratio": 0.15}):
        task = toy_task(result=result)
        assert GaLore().supports(task)
    assert GaLore.card.problems == ("adapt",)


def test_the_seed_alone_decides() -> None:
    found = [make(GaLore(rate=1e-2), task) for task in (toy_task(), toy_task())]
    assert all(torch.equal(found[0].shipped[name], found[1].shipped[name]) for name in found[0].shipped)


def test_what_is_built_moves_by_the_scale_within_directions_of_the_gap() -> None:
    still, rare, often = (
        make(GaLore(rank=4, gap=gap, scale=scale, rate=1e-2), toy_task())
        for gap, scale in ((100, 0.0), (100, 0.25), (1, 0.25))
    )
    base = dict(toy_task().model.named_parameters())
    for name, weight in rare.shipped.items():
        change = weight - base[name]
        assert torch.equal(still.model.get_parameter(name), base[name])
        assert torch.linalg.matrix_rank(change, rtol=1e-3) == 4, name
        assert torch.linalg.matrix_rank(often.model.get_parameter(name) - base[name], rtol=1e-3) > 4, name
