"""The walk over a decoder's blocks."""

import pytest
import torch

from suites._language.blocks import walk_blocks
from suites._language.toy import toy_model


def test_the_layer_whose_inputs_are_not_finite_is_named() -> None:
    model = toy_model()
    layers = model.get_decoder().layers
    layers[0].mlp.down_proj.weight.data[0, 0] = float("inf")
    _, second, *_ = walk_blocks(model, torch.arange(32).view(2, 16))
    with pytest.raises(FloatingPointError, match=r"block 1: \d+ of \d+ inputs of self_attn.q_proj are not finite"):
        second.observe([second.block.self_attn.q_proj], [lambda inputs: None])


def test_each_layer_s_inputs_are_handed_on() -> None:
    model = toy_model()
    step = next(iter(walk_blocks(model, torch.arange(32).view(2, 16))))
    seen: list[torch.Tensor] = []
    out = step.observe([step.block.self_attn.q_proj], [seen.append])
    torch.testing.assert_close(torch.cat(seen), step.block.input_layernorm(step.states))
    torch.testing.assert_close(out, step.outputs())
