"""What the blocks of a Llama-like decoder are made of, for methods that reach into them."""

from typing import Any

from torch import nn

ATTENTION_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_LINEARS = ("gate_proj", "up_proj", "down_proj")


def unlike_llama(model: Any, done: str) -> str | None:
    """Why a model's blocks do not have the linear layers of Llama, or None if they do. done: what is done to those that
    have, "cut", say."""
    for index, layer in enumerate(model.get_decoder().layers):
        for part, names in (("self_attn", ATTENTION_LINEARS), ("mlp", MLP_LINEARS)):
            module = getattr(layer, part, None)
            missing = [name for name in names if not isinstance(getattr(module, name, None), nn.Linear)]
            if missing:
                return f"layer {index} has no linear {missing[0]} in {part}: only Llama-like layers can be {done}"
    return None
