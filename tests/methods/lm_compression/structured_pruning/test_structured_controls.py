"""The controls by chance, by Wanda and by gradients."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from methods._techniques.moments import input_moments
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression._recovery import next_token_loss
from methods.lm_compression.structured_pruning._cut import kv_groups, layers
from methods.lm_compression.structured_pruning.llm_pruner_style import LLMPrunerStyle, taylor_scores
from methods.lm_compression.structured_pruning.random_structured import RandomStructured
from methods.lm_compression.structured_pruning.wanda_structured import WandaStructured, channel_scores
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.structured_pruning.conftest import parameters, random_model


def test_the_seed_decides_what_leaves_at_random_and_nothing_else(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(flops_ratio=0.6)

    def outcome(seed: int) -> bytes:
        candidate = RandomStructured().build(replace(task, seed=seed))
        return b"".join(parameter.detach().numpy().tobytes() for parameter in candidate.parameters())

    outcomes = [outcome(seed) for seed in range(3)]
    torch.manual_seed(7)  # the state of the global generator must not matter
    assert [outcome(seed) for seed in range(3)] == outcomes
    assert len(set(outcomes)) == 3


def test_groups_and_neurons_have_the_same_chance(make_task: Callable[..., CausalLMTask]) -> None:
    """Over 60 seeds: with half of the units gone, the removable share of groups that is gone is about half, too."""
    task = make_task(stored_ratio=0.55)
    gone = {"groups": 0, "neurons": 0}
    for seed in range(60):
        for layer in layers(RandomStructured().build(replace(task, seed=seed))):
            gone["groups"] += 2 - kv_groups(layer.self_attn)
            gone["neurons"] += (64 - layer.mlp.down_proj.in_features) // 8
    shares = gone["groups"] / (60 * 4), gone["neurons"] / (60 * 4 * 7)
    assert abs(shares[0] - shares[1]) < 0.15


def test_wanda_scores_add_up_weight_times_input_norm(make_task: Callable[..., CausalLMTask]) -> None:
    model = random_model()
    windows = calibration_batch(make_task(model), 8, 32)
    linear, seen = layers(model)[2].mlp.down_proj, []
    handle = linear.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    (moments,) = input_moments(model, [linear], windows)
    handle.remove()
    x, weight = torch.cat(seen).flatten(0, 1).numpy(), linear.weight.detach().numpy()
    expected = [np.abs(weight[:, j]).sum() * np.sqrt((x[:, j] ** 2).mean()) for j in range(64)]
    np.testing.assert_allclose(channel_scores(linear, moments).numpy(), expected)


def test_wanda_meets_the_limits(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.7)
    candidate = WandaStructured(samples=8, length=32).build(task)
    assert 0.68 < parameters(candidate) / parameters(task.model) <= 0.7


def test_taylor_scores_are_weight_times_gradient(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task()
    windows = calibration_batch(task, 4, 16)
    groups, neurons = taylor_scores(task.model, windows)
    assert all(parameter.grad is None for parameter in task.model.parameters())
    view = random_model()
    sum(next_token_loss(view, window[None]) for window in windows).backward()
    mlp, attention = layers(view)[1].mlp, layers(view)[1].self_attn
    expected = sum(
        (weight[5] * weight.grad[5]).abs().sum() for weight in (mlp.gate_proj.weight, mlp.up_proj.weight)
    ) + sum((mlp.down_proj.weight[:, 5] * mlp.down_proj.weight.grad[:, 5]).abs())
    torch.testing.assert_close(neurons[1][5].double(), expected, rtol=1e-5, atol=0)
    rows = [(attention.q_proj, 24, 48), (attention.k_proj, 8, 16), (attention.v_proj, 8, 16)]
    expected = sum((linear.weight[a:b] * linear.weight.grad[a:b]).abs().sum() for linear, a, b in rows)
    expected = expected + (attention.o_proj.weight[:, 24:] * attention.o_proj.weight.grad[:, 24:]).abs().sum()
    torch.testing.assert_close(groups[1][1].double(), expected, rtol=1e-5, atol=0)


def test_pruning_by_gradients_leaves_the_ends_whole_and_heals_by_training(
    make_task: Callable[..., CausalLMTask],
) -> None:
    task = make_task(stored_ratio=0.75)
    pruned = LLMPrunerStyle(recovery=False, keep_first=0.25).build(task)
    healed = LLMPrunerStyle(keep_first=0.25).build(make_task(stored_ratio=0.75))
    widths = [layer.mlp.down_proj.in_features for layer in layers(pruned)]
    assert widths[0] == widths[3] == 64
    assert max(widths[1:3]) < 64
    assert parameters(pruned) == parameters(healed)
    assert [layer.mlp.down_proj.in_features for layer in layers(healed)] == widths
    assert not torch.equal(layers(healed)[1].mlp.up_proj.weight, layers(pruned)[1].mlp.up_proj.weight)
