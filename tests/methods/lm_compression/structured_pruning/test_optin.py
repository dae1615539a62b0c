"""OPTIN: effects against models that are cut, the estimate against the effects, the search against all sets."""

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, normalize

from bench.contract import OverBudget
from methods.lm_compression._texts import beginnings
from methods.lm_compression.structured_pruning import optin
from methods.lm_compression.structured_pruning._cut import Kept, all_kept, cut, layers, query_channels
from methods.lm_compression.structured_pruning._trajectory import Decoder, Effect
from methods.lm_compression.structured_pruning.optin import (
    OPTIN,
    cheapest,
    combined,
    group_effects,
    reconstruction_scores,
)
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.structured_pruning.conftest import VOCABULARY, random_model

WINDOWS = torch.randint(1, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(6))


@torch.no_grad()
def run(model: nn.Module) -> tuple[list[Tensor], Tensor]:
    """Output of every block (positions, hidden), and log-probabilities (positions, vocabulary)."""
    features: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda m, i, o: features.append(o.flatten(0, 1))) for layer in layers(model)]
    logits = model(WINDOWS).logits.flatten(0, 1)
    for handle in handles:
        handle.remove()
    return features, log_softmax(logits, -1)


def brute_force(model: nn.Module, index: int, kept: Kept) -> tuple[float, float]:
    """Trajectory and divergence of a model that is really cut."""
    (dense, expected), (small, given_) = (
        run(model),
        run(cut(model, [*all_kept(model)[:index], kept, *all_kept(model)[index + 1 :]])),
    )
    loss = 0.0
    for later in range(len(dense)):
        if later > index or index == len(dense) - 1:
            a, b = normalize(dense[later], dim=-1), normalize(small[later], dim=-1)
            loss += float((a @ a.T - b @ b.T).square().sum())
    return loss, float(kl_div(given_, expected, reduction="sum", log_target=True))


@pytest.mark.parametrize("index", [0, 2, 3])
def test_effects_of_groups_are_those_of_cutting_them(index: int) -> None:
    model = random_model()
    effect = group_effects(Decoder(model, WINDOWS))[index]
    for group in range(2):
        kept = Kept(torch.tensor([1 - group]), torch.arange(64))
        expected = brute_force(model, index, kept)
        assert float(effect.trajectory[group]) == pytest.approx(expected[0], rel=1e-3)
        assert float(effect.divergence[group]) == pytest.approx(expected[1], rel=1e-3)


@torch.no_grad()
def test_the_estimate_of_a_neuron_is_its_effect_where_that_is_small() -> None:
    """With weights a tenth as large a removal is small, and the estimate must be right but for its chance."""
    model = random_model()
    with torch.no_grad():
        for layer in layers(model):
            layer.mlp.down_proj.weight *= 0.1
    estimated = Decoder(model, WINDOWS).estimate(300, torch.Generator().manual_seed(0))
    for index in range(4):
        exact = []
        for neuron in range(0, 64, 4):
            rest = torch.tensor([other for other in range(64) if other != neuron])
            exact.append(brute_force(model, index, Kept(torch.arange(2), rest)))
        for part, values in zip(
            (estimated[index].trajectory, estimated[index].divergence), zip(*exact, strict=True), strict=True
        ):
            ratio = part[::4].double() / torch.tensor(values, dtype=torch.float64)
            assert 0.9 < float(ratio.mean()) < 1.1
            assert 0.6 < float(ratio.min()) <= float(ratio.max()) < 1.5


def test_the_order_of_the_estimate_is_that_of_the_runs_on_the_model_as_it_is() -> None:
    model = random_model()
    decoder = Decoder(model, WINDOWS)
    estimated = torch.stack([effect.trajectory for effect in decoder.estimate(64, torch.Generator().manual_seed(0))])
    exact = torch.stack([
        torch.stack([decoder.effect(index, layer.mlp.down_proj, torch.tensor([n])).trajectory for n in range(64)])
        for index, layer in enumerate(layers(model))
    ])  # fmt: skip
    ranks = [scores.flatten().argsort().argsort().double() for scores in (estimated, exact)]
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > 0.85


def test_a_neuron_that_does_nothing_scores_nothing(make_task: Callable[..., CausalLMTask]) -> None:
    model = random_model()
    with torch.no_grad():
        layers(model)[1].mlp.down_proj.weight[:, 9] = 0
    effect = Decoder(model, WINDOWS).estimate(4, torch.Generator().manual_seed(0))[1]
    assert float(effect.trajectory[9]) == float(effect.divergence[9]) == 0.0
    assert float(effect.trajectory.sort().values[1]) > 0.0


def test_the_divergence_is_put_at_the_given_share_of_the_trajectory() -> None:
    groups = [Effect(torch.tensor([30.0, 10.0]), torch.tensor([1.0, 3.0]))]
    neurons = [Effect(torch.tensor([5.0, 15.0]), torch.tensor([0.5, 1.5]))]
    scores, neuron_scores = combined(groups, neurons, 10.0)
    torch.testing.assert_close(scores[0], torch.tensor([31.0, 13.0]))
    torch.testing.assert_close(neuron_scores[0], torch.tensor([5.5, 16.5]))


def test_reconstruction_is_the_change_of_the_own_update() -> None:
    model = random_model()
    groups, neurons = reconstruction_scores(model, WINDOWS)
    for linear, channels, score in (
        (
            layers(model)[2].self_attn.o_proj,
            query_channels(layers(model)[2].self_attn, torch.tensor([1])),
            groups[2][1],
        ),
        (layers(model)[2].mlp.down_proj, torch.tensor([7]), neurons[2][7]),
    ):
        seen: list[Tensor] = []
        handle = linear.register_forward_hook(lambda m, i, o, seen=seen: seen.append(i[0]))
        with torch.no_grad():
            model(WINDOWS)
            lost = seen[0][..., channels] @ linear.weight[:, channels].T
        handle.remove()
        assert float(score) == pytest.approx(float(lost.square().sum()), rel=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 50), max_size=3),
    st.lists(st.integers(0, 20), min_size=1, max_size=5),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(0, 40),
)
def test_the_search_finds_the_best_of_all_sets(
    first: list[int], second: list[int], saving: int, other: int, need: int
) -> None:
    losses, savings = [sorted(first), sorted(second)], [float(saving), float(other)]
    counts = cheapest(losses, savings, float(need))
    items = [(loss, savings[kind]) for kind in (0, 1) for loss in losses[kind]]
    sets = [s for size in range(len(items) + 1) for s in combinations(items, size) if sum(i[1] for i in s) >= need]
    if counts is None:
        assert not sets
    else:
        assert counts[0] * saving + counts[1] * other >= need
        assert sum(losses[0][: counts[0]]) + sum(losses[1][: counts[1]]) == min(sum(i[0] for i in s) for s in sets)


@pytest.mark.parametrize("criterion", ["trajectory", "reconstruction"])
def test_what_leaves_is_chosen_by_the_criterion_that_is_asked_for(
    make_task: Callable[..., CausalLMTask], monkeypatch: pytest.MonkeyPatch, criterion: str
) -> None:
    chosen, removable = [], optin.removable
    monkeypatch.setattr(optin, "removable", lambda *given: chosen.append(given) or removable(*given))
    task = make_task(stored_ratio=0.7)
    OPTIN(criterion=criterion, samples=2, length=16, probes=3, ratio=4.0, block=4).build(task)  # type: ignore[arg-type]
    ((_, groups, neurons, _),) = chosen
    windows = beginnings(make_task(), 2, 16)
    if criterion == "trajectory":
        decoder = Decoder(task.model, windows)
        estimated = decoder.estimate(3, torch.Generator().manual_seed(task.seed))
        wanted = combined(group_effects(decoder), estimated, 4.0)
    else:
        wanted = reconstruction_scores(task.model, windows)
    torch.testing.assert_close((list(groups), list(neurons)), wanted)


@pytest.mark.parametrize("limits", [{"stored_ratio": 0.7}, {"flops_ratio": 0.6}])
@pytest.mark.parametrize("criterion", ["trajectory", "reconstruction"])
def test_limits_are_met_with_little_to_spare(
    make_task: Callable[..., CausalLMTask], limits: dict, criterion: str
) -> None:
    task = make_task(**limits)
    method = OPTIN(criterion=criterion, samples=2, length=16, probes=4, block=4)
    figures = task.weigh(method.build(task))
    (name, allowed), *_ = limits.items()
    assert allowed - 0.02 < figures[name] <= allowed
    assert not any(module._forward_pre_hooks for module in task.model.modules())
    assert all(parameter.grad is None for parameter in task.model.parameters())


def test_a_limit_out_of_reach_is_over_budget(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.05)
    with pytest.raises(OverBudget):
        OPTIN(samples=2, length=16, probes=1).build(task)


def test_the_seed_alone_decides(make_task: Callable[..., CausalLMTask]) -> None:
    def outcome() -> list[Tensor]:
        task = make_task(stored_ratio=0.7)
        return list(OPTIN(samples=2, length=16, probes=2, block=4).build(task).parameters())

    first = outcome()
    torch.manual_seed(5)
    assert all(torch.equal(a, b) for a, b in zip(first, outcome(), strict=True))
