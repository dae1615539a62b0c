"""Clusters, shares, filter and budget are what they should be, on planted cases; the whole runs on the toy."""

import math
from collections import Counter
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import Limits
from methods._techniques.manifold import clusters, diffusion_map
from methods.lm_compression.data_selection._concepts import ConceptGraph, concepts
from methods.lm_compression.data_selection.paser import PASER, allocate, degradation, instruction_score, select
from methods.lm_compression.layer_dropping._sublayers import drop, whole_block
from methods.lm_compression.layer_dropping.attention_drop import AttentionDrop
from suites._language.toy import toy_model, toy_tokenizer
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import drawn, task_around

VALLEY = "The old river crosses a wide valley near the market. A king builds ships of grey stone every year. " * 60
PLACES = ("river", "tower", "coast", "field", "abbey", "ridge", "canal", "house", "woods")
NEIGHBOURS = "".join(f"the {one} is by the {other} ".ljust(32) for one, other in permutations(PLACES, 2))
"""Of 32 tokens each. Which of two places stand side by side, and which do not, is told by every sample."""


def make_task(seed: int = 0, training: int = 2048, text: str = VALLEY, **limits: float) -> CausalLMTask:
    dense = toy_model()
    ids = toy_tokenizer()(text, add_special_tokens=False)["input_ids"]
    parameters = sum(p.numel() for p in dense.parameters())
    return task_around(
        dense,
        lambda candidate: {"stored_ratio": sum(p.numel() for p in candidate.parameters()) / parameters},
        Limits(result=limits, supplies={"calibration_tokens": 1024, "training_tokens": training}),
        calibration=ids,
        training=ids,
        tokenizer=toy_tokenizer(),
        seed=seed,
    )


# --- clusters ---


def test_planted_clusters_are_found() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = 4 * torch.randn(4, 16, generator=generator)
    truth = torch.arange(4).repeat_interleave(torch.tensor([30, 20, 10, 25]))
    points = centres[truth] + 0.3 * torch.randn(85, 16, generator=generator)
    mixed = torch.randperm(85, generator=generator)
    labels = clusters(points[mixed], 4)
    assert {len(set(labels[truth[mixed] == name].tolist())) for name in range(4)} == {1}
    assert len(set(labels.tolist())) == 4
    assert torch.equal(labels, clusters(points[mixed], 4))


def test_the_diffusion_map_is_of_the_walk() -> None:
    points = torch.randn(12, 3, generator=torch.Generator().manual_seed(1)).double()
    vectors = diffusion_map(points, 4)
    distances = torch.cdist(points, points)
    scale = distances[~torch.eye(12, dtype=torch.bool)].median()
    affinity = torch.exp(-distances.square() / (2 * scale**2))
    degree = affinity.sum(1)
    walk = affinity / degree[:, None]
    largest = torch.linalg.eigvals(walk).real.sort().values[-4:]
    right = vectors / degree.sqrt()[:, None]
    assert torch.allclose(walk @ right, right * largest, atol=1e-8)
    assert largest[-1] == pytest.approx(1)


# --- shares ---


def test_shares_are_in_proportion_to_the_degradation() -> None:
    assert allocate([0.1, 0.3, 0.6], [100, 100, 100], 50) == [5, 15, 30]
    assert allocate([0.1, 0.3, 0.6], [100, 100, 10], 50) == [10, 30, 10]  # 40 are left for two of 1 to 3
    assert allocate([0.0, 0.0], [4, 4], 5) == [3, 2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 20)), min_size=1, max_size=8), st.integers(0, 120))
def test_the_budget_is_spent_exactly_and_no_cluster_overdrawn(groups: list[tuple[float, int]], budget: int) -> None:
    sizes = [size for _, size in groups]
    given_ = allocate([loss for loss, _ in groups], sizes, budget)
    assert sum(given_) == min(budget, sum(sizes))
    assert all(0 <= got <= size for got, size in zip(given_, sizes, strict=True))


# --- filter ---


def test_phrases_are_the_runs_between_stop_words() -> None:
    found = concepts("The quick brown fox is not a slow grey tortoise, and the fox runs. 42 ships", 10)
    assert found == {"quick brown fox", "slow grey tortoise", "fox runs", "ships"}
    assert concepts("The quick brown fox is not a slow grey tortoise, and the fox runs.", 1) <= {
        "quick brown fox",
        "slow grey tortoise",
    }


def test_a_planted_conflict_is_passed_over() -> None:
    graph = ConceptGraph()
    graph.add(frozenset({"sun", "day"}))
    graph.add(frozenset({"moon", "night"}))
    assert graph.consistent(frozenset({"sun", "day", "something new"}))
    assert not graph.consistent(frozenset({"sun", "night"}))
    about = [{"sun", "day"}, {"moon", "night"}, {"sun", "night"}, {"sun", "star"}]
    chosen = select([4.0, 3.0, 2.0, 1.0], [1.0] * 4, [0] * 4, 3, lambda index: frozenset(about[index]))
    assert chosen == [0, 1, 3]
    # Where nothing else is left, the budget is filled all the same.
    assert select([4.0, 3.0, 2.0], [1.0] * 3, [0] * 3, 3, lambda index: frozenset(about[index])) == [0, 1, 2]


def test_the_most_degraded_of_each_cluster_go_first() -> None:
    promise = [0.1, 0.9, 0.5, 0.2, 0.3, 0.4]
    labels = [7, 7, 7, 2, 2, 2]
    chosen = select(promise, [1.0] * 6, labels, 4, lambda index: frozenset({str(index)}))
    assert sorted(chosen) == [1, 2, 4, 5]
    worse = select(promise, [3.0, 3.0, 3.0, 1.0, 1.0, 1.0], labels, 4, lambda index: frozenset({str(index)}))
    assert Counter(labels[index] for index in worse) == {7: 3, 2: 1}


# --- scores ---


def test_a_model_has_not_degraded_from_itself() -> None:
    dense = toy_model()
    sample = torch.randint(0, 256, (32,), generator=torch.Generator().manual_seed(0))
    embedding, loss = degradation(dense, dense, sample, stride=4)
    assert loss == pytest.approx(0, abs=1e-6)
    assert embedding.shape == (64,)
    assert degradation(dense, drop(dense, whole_block(2)), sample, stride=4)[1] > 0.01


def test_the_instruction_score_is_the_loss_with_over_the_loss_without() -> None:
    dense = toy_model()
    sample = torch.randint(0, 256, (32,), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = dense(input_ids=sample[None], labels=torch.cat([torch.full((17,), -100), sample[17:]])[None]).loss
        alone = dense(input_ids=sample[None, 16:], labels=sample[None, 16:]).loss
    assert instruction_score(dense, sample).item() == pytest.approx((whole / alone).item(), rel=1e-5)


# --- the method ---


@pytest.mark.parametrize("variant", PASER.variants)
def test_it_heals_on_exactly_the_budget(variant: str, monkeypatch: Any) -> None:
    method = PASER(**PASER.variants[variant], length=32, count=3)
    task = make_task(stored_ratio=0.75)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    trained: list[torch.Tensor] = []
    from methods.lm_compression.data_selection import paser as module

    original = module.next_token_loss
    monkeypatch.setattr(module, "next_token_loss", lambda model, ids: trained.append(ids) or original(model, ids))
    candidate = method.build(task)
    ids = torch.cat(trained)
    assert len(ids) == 2048 // 32  # as many passes as the pool has samples, where that is fewer than the budget
    distinct = Counter(map(tuple, ids.tolist()))
    if variant != "full":
        assert len(distinct) <= len(ids) // 3
        assert sum(distinct.values()) == len(ids)
    assert drawn(task)["training_tokens"] == 2048
    assert task.weigh(candidate)["stored_ratio"] <= 0.75
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())
    monkeypatch.undo()
    again = method.build(make_task(stored_ratio=0.75))
    assert all(torch.equal(a, b) for a, b in zip(candidate.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("variant", ["default", "instruction-score"])
def test_it_heals_on_the_samples_that_it_selects(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the pool that are most promising, worked out again from the scores."""
    from methods.lm_compression.data_selection import paser as module

    method = PASER(**PASER.variants[variant], length=32, count=3)
    trained: list[torch.Tensor] = []
    original = module.next_token_loss
    monkeypatch.setattr(module, "next_token_loss", lambda model, ids: trained.append(ids) or original(model, ids))
    method.build(make_task(text=NEIGHBOURS, stored_ratio=0.75))
    task = make_task(text=NEIGHBOURS, stored_ratio=0.75)
    pool = torch.cat(list(task.training(2048 // 32, 32)))
    if variant == "instruction-score":
        scores = torch.stack([instruction_score(task.model, sample) for sample in pool])
        expected = pool[scores.topk(len(pool) // 3).indices]
    else:
        pruned = AttentionDrop(kind="block").build(task)
        seen = [degradation(task.model, pruned, sample, method.stride) for sample in pool]
        losses = [loss for _, loss in seen]
        labels = clusters(torch.stack([embedding for embedding, _ in seen]), 3).tolist()
        scores = [loss / math.log(32) for loss in losses]
        told = [concepts(task.tokenizer.decode(sample.tolist()), method.phrases) for sample in pool]
        chosen = select(scores, losses, labels, len(pool) // 3, told.__getitem__)
        assert sorted(chosen) != list(range(len(pool) // 3))
        assert set(chosen) != set(select(scores, losses, labels, len(pool) // 3, lambda index: frozenset()))
        expected = pool[chosen]
    assert {tuple(row) for row in torch.cat(trained).tolist()} == {tuple(row) for row in expected.tolist()}


def test_what_pruning_can_not_meet_it_says() -> None:
    assert "without one" in str(PASER().supports(make_task()))
    assert "still" in str(PASER().supports(make_task(stored_ratio=0.01)))
