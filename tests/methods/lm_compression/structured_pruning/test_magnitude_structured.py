"""The control by weight norms."""

from collections.abc import Callable

import torch

from methods.lm_compression.structured_pruning._cut import layers, query_channels
from methods.lm_compression.structured_pruning.magnitude_structured import (
    MagnitudeStructured,
    neuron_norms,
    query_channel_norms,
)
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import drawn
from tests.methods.lm_compression.structured_pruning.conftest import parameters, random_model


def test_a_planted_tiny_neuron_leaves_first(make_task: Callable[..., CausalLMTask]) -> None:
    model = random_model()
    mlp = layers(model)[3].mlp
    with torch.no_grad():
        mlp.gate_proj.weight[5] *= 1e-3
        mlp.up_proj.weight[5] *= 1e-3
        mlp.down_proj.weight[:, 5] *= 1e-3
    task = make_task(model, stored_ratio=1 - 3 * 48 / parameters(model))
    candidate = MagnitudeStructured(block=1).build(task)
    assert [layer.mlp.down_proj.in_features for layer in layers(candidate)] == [64, 64, 64, 63]
    kept = [n for n in range(64) if n != 5]
    assert torch.equal(layers(candidate)[3].mlp.up_proj.weight, mlp.up_proj.weight[kept])


def test_norms_of_neurons_sum_to_the_norm_of_the_mlp() -> None:
    mlp = layers(random_model())[0].mlp
    whole = sum(weight.square().sum() for weight in mlp.parameters())
    torch.testing.assert_close(neuron_norms(mlp).sum(), whole)


def test_norms_of_a_group_sum_to_the_norm_of_its_rows_and_columns() -> None:
    attention = layers(random_model())[0].self_attn
    queries, head = slice(24, 48), slice(8, 16)
    whole = (
        attention.q_proj.weight[queries].square().sum()
        + attention.k_proj.weight[head].square().sum()
        + attention.v_proj.weight[head].square().sum()
        + attention.o_proj.weight[:, queries].square().sum()
    )
    channels = query_channels(attention, torch.tensor([1]))
    torch.testing.assert_close(query_channel_norms(attention)[channels].sum(), whole)


def test_it_draws_no_data_and_adds_no_bias(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(flops_ratio=0.6)
    candidate = MagnitudeStructured().build(task)
    assert not drawn(task)
    assert not any(name.endswith("bias") for name, _ in candidate.named_parameters())
    assert task.limits.met_by(task.weigh(candidate))
