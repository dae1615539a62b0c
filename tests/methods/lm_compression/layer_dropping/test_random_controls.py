"""The seed decides, and nothing else."""

import pytest
import torch

from methods.lm_compression.layer_dropping._sublayers import AttentionBlock, MLPBlock
from methods.lm_compression.layer_dropping.random_block_drop import RandomBlockDrop
from methods.lm_compression.layer_dropping.random_sublayer_drop import RandomSublayerDrop

from .conftest import random_model

LIMITS = {"flops_ratio": 0.7}


@pytest.mark.parametrize("control", [RandomBlockDrop(), RandomSublayerDrop()])
def test_equal_seeds_agree_and_seeds_differ(control, make_task):
    model = random_model(blocks=8)

    def outcome(seed):
        candidate = control.build(make_task(model, seed, **LIMITS))
        return b"".join(parameter.detach().numpy().tobytes() for parameter in candidate.parameters())

    outcomes = [outcome(seed) for seed in range(5)]
    torch.manual_seed(12345)  # the state of the global generator must not matter
    assert outcomes == [outcome(seed) for seed in range(5)]
    assert len(set(outcomes)) >= 3


def test_random_blocks_go_as_a_whole(make_task):
    candidate = RandomBlockDrop().build(make_task(random_model(blocks=8), seed=1, **LIMITS))
    assert not any(isinstance(block, AttentionBlock | MLPBlock) for block in candidate.model.layers)
    assert len(candidate.model.layers) < 8


def test_random_sublayers_split_blocks(make_task):
    candidate = RandomSublayerDrop().build(make_task(random_model(blocks=8), seed=1, **LIMITS))
    assert any(isinstance(block, AttentionBlock | MLPBlock) for block in candidate.model.layers)


def test_every_block_has_the_same_chance(make_task):
    """Over many seeds each of the 4 blocks is the one that goes about equally often (within 5 standard deviations)."""
    model = random_model()
    for index, block in enumerate(model.model.layers):
        block.input_layernorm.weight.data.fill_(float(index))
    gone = [0] * 4
    for seed in range(80):
        candidate = RandomBlockDrop().build(make_task(model, seed, flops_ratio=0.99))
        left = {int(block.input_layernorm.weight[0]) for block in candidate.model.layers}
        gone[({0, 1, 2, 3} - left).pop()] += 1
    assert all(20 - 5 * 3.9 < count < 20 + 5 * 3.9 for count in gone)
