from collections.abc import Callable
from typing import Any

import pytest
import torch

from methods.lm_finetuning.merging.lora_lego import LoRALego, clusters
from suites.lm_finetuning.lora import LoRA, updates
from tests.methods.lm_finetuning.finetuning_toys import make, random_lora, toy_task

MakeTask = Callable[..., Any]


def loras(count: int = 3, rank: int = 4, scale: float = 2.0) -> list[LoRA]:
    model = toy_task().model
    return [random_lora(model, rank, seed, scale) for seed in range(count)]


def same(found: LoRA, wanted: dict[str, torch.Tensor], factor: float = 1.0) -> bool:
    return all(torch.allclose(u, factor * wanted[n], atol=1e-5) for n, u in updates(found).items())


def test_with_a_cluster_for_each_unit_it_is_the_exact_sum() -> None:
    given = [*loras(2), random_lora(toy_task().model, 2, 7, 0.5)]
    total = {name: sum(updates(each)[name] for each in given) for name in given[0].a}
    assert same(LoRALego(rank=10, outputs=False).merge(given, 0), total)
    # the output's weight, the root of the mean rank over the merged rank, is all that is added
    assert same(LoRALego(rank=10).merge(given, 0), total, (10 / 3 / 10) ** 0.5)


def test_equal_loras_merge_into_the_lora() -> None:
    (lora,) = loras(1)
    assert same(LoRALego().merge([lora, lora, lora], 0), updates(lora))


def test_the_order_of_ranks_does_not_matter() -> None:
    (lora,) = loras(1)
    order = torch.tensor([2, 0, 3, 1])
    turned = LoRA({n: a[order] for n, a in lora.a.items()}, {n: b[:, order] for n, b in lora.b.items()}, lora.scale)
    assert same(LoRALego().merge([lora, turned], 0), updates(lora))


def test_a_centre_has_the_mean_norm_of_its_units() -> None:
    units = torch.tensor([[3.0, 0.0], [0.0, 5.0], [100.0, 100.0]])
    centres = LoRALego()._centres(units, 2, 0)
    norms = sorted(centres.norm(dim=1).tolist())
    assert norms[0] == pytest.approx(4.0)
    assert norms[1] == pytest.approx(100 * 2**0.5)
    bare = LoRALego(norms=False)._centres(units, 2, 0)
    assert min(bare.norm(dim=1).tolist()) == pytest.approx((1.5**2 + 2.5**2) ** 0.5)


def test_the_tightest_of_the_starts_is_taken() -> None:
    units = torch.randn(12, 5, generator=torch.Generator().manual_seed(2))

    def spread(starts: int, seed: int) -> float:
        labels = clusters(units, 5, starts, seed)
        groups = [units[labels == label] for label in labels.unique()]
        return sum(float((group - group.mean(0)).square().sum()) for group in groups)

    one, many = ([spread(starts, seed) for seed in range(6)] for starts in (1, 8))
    assert all(few >= best - 1e-6 for few, best in zip(one, many, strict=True))
    assert sum(many) < 0.99 * sum(one)


@pytest.mark.filterwarnings("error")
def test_units_that_are_equal_need_no_cluster_of_their_own() -> None:
    units = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 0.0]])
    assert len(clusters(units, 3, 4, 0).unique()) == 2


def test_units_go_to_the_cluster_that_they_are_near() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(5, 8, generator=generator)
    labels = torch.arange(5).repeat(4)
    found = clusters(centres[labels] + 0.1 * torch.randn(20, 8, generator=generator), 5, 4, 0)
    assert all(len(found[labels == label].unique()) == 1 for label in range(5))
    assert len(found.unique()) == 5


@pytest.mark.parametrize("rank", [None, 2, 6])
def test_the_merged_lora_has_the_rank_that_was_asked(rank: int | None) -> None:
    found = LoRALego(rank=rank).merge(loras(), 0)
    assert all(len(a) == (rank or 4) for a in found.a.values())
    assert all(b.shape[1] == (rank or 4) for b in found.b.values())
    assert found.scale == pytest.approx((4 / (rank or 4)) ** 0.5)


def test_it_is_built_the_same_again_and_for_its_problem_alone(merge_task: MakeTask) -> None:
    task = merge_task()
    first, again = (make(LoRALego(), task) for _ in range(2))
    assert all(torch.equal(first.shipped[name], again.shipped[name]) for name in first.shipped)
    assert LoRALego().supports(task) is None
    assert LoRALego.card.problems == ("merge",)


@pytest.mark.parametrize("settings", LoRALego.variants.values(), ids=LoRALego.variants)
def test_what_is_built_is_the_merged_lora(merge_task: MakeTask, settings: dict[str, Any]) -> None:
    task = merge_task()
    method = LoRALego(**settings)
    found, wanted = make(method, task).shipped, method.merge(list(task.loras.values()), task.seed).tensors
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    assert found[next(iter(found))].shape[0] == min(method.rank or 4, 12)  # of twelve units
