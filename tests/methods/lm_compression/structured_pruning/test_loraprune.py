"""LoRAPrune: what it sees, when it prunes, and that what is cut is what was masked."""

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.lm_compression._recovery import next_token_loss
from methods.lm_compression.structured_pruning import loraprune
from methods.lm_compression.structured_pruning._cut import all_kept, kv_groups, layers
from methods.lm_compression.structured_pruning._importance import of_groups, of_neurons
from methods.lm_compression.structured_pruning._order import Unit, even_ranking, without
from methods.lm_compression.structured_pruning.loraprune import LoRAPrune, ProgressivePruning, cubic, estimated_gradient
from suites._language.adapters import with_lora
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.structured_pruning.conftest import VOCABULARY, parameters, random_model

SMALL = LoRAPrune(rank=2, block=4, keep_first=0.25)
IDS = torch.randint(1, VOCABULARY, (2, 24), generator=torch.Generator().manual_seed(8))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The pruning of the next build: what was masked after each step, and the masked model's logits at its end."""
    seen: dict[str, Any] = {"gone": [], "steps": 0}
    step, unmask = ProgressivePruning.step, ProgressivePruning.unmask

    def watched_step(self: ProgressivePruning, index: int) -> None:
        frozen = [p for name, p in self.model.named_parameters() if "lora_" not in name]
        assert len(frozen) > 20
        assert not any(p.requires_grad or p.grad is not None for p in frozen)
        step(self, index)
        seen["gone"].append({(u.layer, u.kind, member) for u in self.gone for member in u.members})
        seen["target"] = self.target

    def watched_unmask(self: ProgressivePruning) -> None:
        with torch.no_grad():
            seen["logits"] = self.model(IDS).logits
        seen["units"] = list(self.gone)
        unmask(self)

    monkeypatch.setattr(loraprune.ProgressivePruning, "step", watched_step)
    monkeypatch.setattr(loraprune.ProgressivePruning, "unmask", watched_unmask)
    return seen


def test_the_estimate_is_what_a_step_of_size_one_takes_from_the_product() -> None:
    generator = torch.Generator().manual_seed(0)
    a, grad_a = (torch.randn(3, 7, generator=generator) for _ in range(2))
    b, grad_b = (torch.randn(5, 3, generator=generator) for _ in range(2))
    expected = b @ a - (b - grad_b) @ (a - grad_a)
    torch.testing.assert_close(estimated_gradient(a, b, grad_a, grad_b), expected, atol=1e-5, rtol=1e-5)


def test_importance_by_autograd_on_a_layer_written_out() -> None:
    """The layer's LoRA gradients are those of an explicit W + s B A, and the importance is the formula of them."""
    model = with_lora(random_model(), rank=2, alpha=4, seed=1)
    layer = layers(model.get_base_model())[1].mlp.up_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b.normal_(std=0.1, generator=torch.Generator().manual_seed(2))
    next_token_loss(model, IDS).backward()
    frozen = copy.deepcopy(random_model())
    free_a, free_b = (tensor.detach().double().requires_grad_() for tensor in (a, b))
    linear = layers(frozen)[1].mlp.up_proj
    weight = linear.weight.detach()
    del linear.weight
    linear.weight = weight + 2.0 * free_b @ free_a
    next_token_loss(frozen, IDS).backward()
    torch.testing.assert_close(a.grad.double(), free_a.grad, atol=1e-6, rtol=1e-3)
    gradient = free_b.grad @ free_a + free_b @ free_a.grad - free_b.grad @ free_a.grad
    expected = (gradient * (weight + 2.0 * free_b @ free_a)).abs()
    torch.testing.assert_close(loraprune.lora_importance(layer).double(), expected, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("limits", [{"stored_ratio": 0.75}, {"flops_ratio": 0.7}])
def test_what_was_masked_is_cut_and_the_model_stays_the_same(
    make_task: Callable[..., CausalLMTask], watched: dict, limits: dict
) -> None:
    task = make_task(**limits)
    before = copy.deepcopy(task.model.state_dict())
    candidate = SMALL.build(task)
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(candidate(IDS).logits, watched["logits"], atol=1e-4, rtol=1e-4)
        assert (candidate(IDS).logits - task.model(IDS).logits).abs().max() > 0.05
    for layer, kept in zip(layers(candidate), without(task.model, watched["units"]), strict=True):
        assert kv_groups(layer.self_attn) == len(kept.groups)
        assert layer.mlp.down_proj.in_features == len(kept.neurons)
    assert type(candidate) is type(task.model)
    assert task.limits.met_by(task.weigh(candidate))


def test_pruning_grows_and_never_takes_back(
    make_task: Callable[..., CausalLMTask], watched: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("methods.lm_compression._recovery.TINY_TOKENS", 32_768)  # enough steps for a cool-down
    task = make_task(stored_ratio=0.7)
    SMALL.build(task)
    gone = watched["gone"]
    assert len(gone) == 12
    assert not gone[0]  # the warm-up
    assert all(earlier <= later for earlier, later in pairwise(gone))
    assert 2 < len({len(step) for step in gone}) <= 7  # at every second step, and at the last change
    assert len(gone[-1]) == len(gone[-2]) > len(gone[6]) > 0  # the cool-down
    assert not any(layer in (0, 3) for layer, _, _ in gone[-1])


def test_what_is_masked_comes_first_however_it_scores(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.7)
    pruning = ProgressivePruning(SMALL, task, copy.deepcopy(task.model), steps=12)
    pruning._mask(pruning._order()[:9])
    before = list(pruning.gone)
    for unit in before:
        (pruning.groups if unit.kind == "group" else pruning.neurons)[unit.layer][list(unit.members)] = 1e6
    after = pruning._order()[:9]
    assert {(u.layer, u.kind, m) for u in before for m in u.members} == {
        (u.layer, u.kind, m) for u in after for m in u.members
    }


def test_importance_is_a_moving_average_to_which_a_step_adds_a_tenth(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.7)
    adapted = with_lora(copy.deepcopy(task.model), rank=2, alpha=4, seed=0).get_base_model()
    pruning = ProgressivePruning(SMALL, task, adapted, steps=12)

    def seen(seed: int) -> Callable[[Any], Tensor]:
        return lambda linear: torch.rand(
            linear.get_base_layer().weight.shape, generator=torch.Generator().manual_seed(seed)
        )

    for seed in (1, 2):
        pruning._observe(seen(seed))
    layer = layers(adapted)[2]
    groups, neurons = (
        [of(part, seen(seed), normalised=True) for seed in (1, 2)]
        for of, part in ((of_groups, layer.self_attn), (of_neurons, layer.mlp))
    )
    torch.testing.assert_close(pruning.groups[2], 0.09 * groups[0] + 0.1 * groups[1])
    torch.testing.assert_close(pruning.neurons[2], 0.09 * neurons[0] + 0.1 * neurons[1])


@pytest.mark.parametrize(
    ("criterion", "by"),
    [("lora", {loraprune.lora_importance}), ("magnitude", {loraprune.magnitude}), ("random", set())],
)
def test_each_criterion_observes_its_own(
    make_task: Callable[..., CausalLMTask], monkeypatch: pytest.MonkeyPatch, criterion: Any, by: set[Any]
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(ProgressivePruning, "_observe", lambda self, importance: seen.append(importance))
    LoRAPrune(criterion=criterion, rank=2, block=4, keep_first=0.25).build(make_task(stored_ratio=0.75))
    assert set(seen) == by


def test_equal_seeds_agree_whatever_the_global_generator(make_task: Callable[..., CausalLMTask]) -> None:
    def outcome() -> Tensor:
        task = make_task(stored_ratio=0.75)
        candidate = SMALL.build(task)
        with torch.no_grad():
            return candidate(IDS).logits

    first = outcome()
    torch.manual_seed(99)
    assert torch.equal(outcome(), first)


def test_a_planted_dead_neuron_is_found_by_lora_alone(make_task: Callable[..., CausalLMTask]) -> None:
    """Neurons whose output weights are zero change nothing; they are large, so that magnitude would keep them."""
    model = random_model()
    dead = [3, 17, 40, 41]
    with torch.no_grad():
        mlp = layers(model)[1].mlp
        mlp.down_proj.weight[:, dead] = 0
        mlp.up_proj.weight[dead] *= 4
    task = make_task(model, stored_ratio=1 - 3 * 48 * 8 / parameters(model))  # a block in each of two layers
    candidate = SMALL.build(task)
    assert [layer.mlp.down_proj.in_features for layer in layers(candidate)] == [64, 60, 60, 64]
    left = layers(candidate)[1].mlp.up_proj.weight.abs().sum(1)
    assert left.max() < 2 * left.median()  # the four large rows are gone


def test_the_cubic_starts_at_none_and_ends_at_all() -> None:
    shares = [cubic(step, 100, 0.1, 0.1) for step in range(100)]
    assert shares[:11] == [0.0] * 11
    assert shares[90:] == [1.0] * 10
    assert shares == sorted(shares)
    assert shares[50] == pytest.approx(1 - 0.5**3)
    assert cubic(2, 3, 0.1, 0.1) == 1.0  # also where the steps are few


def test_an_even_ranking_takes_the_same_share_of_every_part() -> None:
    model = random_model()
    generator = torch.Generator().manual_seed(4)
    groups = [torch.rand(2, generator=generator) for _ in range(4)]
    neurons = [torch.rand(64, generator=generator) * 10**layer for layer in range(4)]
    order = even_ranking(model, groups, neurons, 4, whole=[2])
    assert not any(unit.layer == 2 for unit in order)
    for count in range(len(order)):
        widths = [len(kept.neurons) for kept in without(model, order[:count])]
        assert max(widths[:2] + widths[3:]) - min(widths) <= 4
    gone: list[Unit] = order[:20]
    for layer in (0, 1, 3):
        kept, lost = without(model, gone)[layer].neurons, set(range(64))
        lost -= set(kept.tolist())
        assert max(neurons[layer][list(lost)]) < min(neurons[layer][kept])
    assert len(all_kept(model)) == 4
