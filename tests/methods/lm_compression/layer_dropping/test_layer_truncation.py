"""The first blocks stay, as many as the limits allow."""

import torch

from methods.lm_compression.layer_dropping._limits import figures
from methods.lm_compression.layer_dropping._sublayers import whole_block
from methods.lm_compression.layer_dropping.layer_truncation import LayerTruncation

from .conftest import BLOCKS


def test_the_last_blocks_go_first_and_no_more_than_needed(make_task):
    task = make_task(stored_ratio=0.6)
    candidate = LayerTruncation().build(task)
    kept = len(candidate.model.layers)
    assert 0 < kept < BLOCKS
    for index, block in enumerate(candidate.model.layers):
        assert torch.equal(block.mlp.up_proj.weight, task.model.model.layers[index].mlp.up_proj.weight)
    one_more = [sublayer for index in range(kept + 1, BLOCKS) for sublayer in whole_block(index)]
    assert task.limits.met_by(task.weigh(candidate))
    assert not task.limits.met_by(figures(task, one_more))
