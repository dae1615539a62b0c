"""Sub-layers of a pre-norm decoder, and a copy of the model without some of them.

A block of a Llama-like decoder is two residual updates, x + attention(norm(x)) and then x + mlp(norm(x)). Each of the
two is a sub-layer that can go, with its norm, and leaves the residual stream as the identity.
"""

import copy
from collections.abc import Collection
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

Kind = Literal["attention", "mlp"]
KINDS: tuple[Kind, Kind] = ("attention", "mlp")
"""In the order in which a block runs them."""

PRE_NORM_BLOCK = {"input_layernorm", "self_attn", "post_attention_layernorm", "mlp"}
"""Children of a block that is two plain residual updates, and nothing else."""


class Sublayer(NamedTuple):
    """A sub-layer by the index of its block in the dense model and by its kind."""

    block: int
    kind: Kind


class AttentionBlock(GradientCheckpointingLayer):
    """What is left of a block whose MLP was dropped; parameter names stay those of the dense block."""

    def __init__(self, input_layernorm: nn.Module, self_attn: nn.Module) -> None:
        super().__init__()
        self.input_layernorm = input_layernorm
        self.self_attn = self_attn

    def forward(self, hidden_states: Tensor, **context: Any) -> Tensor:
        """hidden_states: (batch, length, hidden), the same shape out; context: mask, cache, rotary embeddings."""
        update, _ = self.self_attn(hidden_states=self.input_layernorm(hidden_states), **context)
        return hidden_states + update


class MLPBlock(GradientCheckpointingLayer):
    """What is left of a block whose attention was dropped; it has no part in the KV cache."""

    def __init__(self, post_attention_layernorm: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.post_attention_layernorm = post_attention_layernorm
        self.mlp = mlp

    def forward(self, hidden_states: Tensor, **context: Any) -> Tensor:
        """hidden_states: (batch, length, hidden), the same shape out; the context is not needed."""
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


def blocks(model: Any) -> nn.ModuleList:
    """The decoder blocks of a causal LM, in order."""
    layers: nn.ModuleList = model.get_decoder().layers
    return layers


def sublayers(model: Any, *kinds: Kind) -> list[Sublayer]:
    """All sub-layers of these kinds (none named: of both), in the order in which they run."""
    return [Sublayer(block, kind) for block in range(len(blocks(model))) for kind in kinds or KINDS]


def whole_block(block: int) -> tuple[Sublayer, ...]:
    """Both sub-layers of a block."""
    return tuple(Sublayer(block, kind) for kind in KINDS)


def undroppable(model: Any) -> str | None:
    """Why sub-layers can't be cut out of this model, or None if they can."""
    for index, block in enumerate(blocks(model)):
        children = {name for name, _ in block.named_children()}
        if children != PRE_NORM_BLOCK or hasattr(block, "residual_multiplier"):
            return f"block {index} ({type(block).__name__}) is not two plain pre-norm residual updates"
    if len(set(getattr(model.config, "layer_types", None) or ())) > 1:
        # The KV cache picks its storage by layer_types[layer_idx], which renumbering would tear from the blocks.
        return "blocks attend in different ways (full and sliding window), so the KV cache can't be renumbered"
    return None


def drop(model: Any, dropped: Collection[Sublayer], *, share_weights: bool = False) -> Any:
    """A copy of `model` without the dropped sub-layers; what is dropped is never copied. `model` is left unchanged.

    A block that loses both sub-layers is gone. Remaining attentions are numbered 0, 1, ... in the KV cache, because
    the length of the cache is read off its layer 0; cache layers past the last attention stay empty.
    share_weights: the copy uses the model's own tensors, so it costs next to no memory and time. For weighing and
    scoring; a candidate that is handed out owns its weights.
    """
    gone = set(dropped)
    unknown = gone - set(sublayers(model))
    if unknown:
        raise ValueError(f"the model has no sub-layer {min(unknown)}")
    shared = [*model.parameters(), *model.buffers()] if share_weights else []
    memo: dict[int, Any] = {id(tensor): tensor for tensor in shared}
    dense = blocks(model)
    kept = [index for index in range(len(dense)) if not gone.issuperset(whole_block(index))]
    remaining = nn.ModuleList(_remaining_block(dense[index], index, gone, memo) for index in kept)
    remaining.training = dense.training
    memo[id(dense)] = remaining
    candidate = copy.deepcopy(model, memo)

    attentions = [block.self_attn for block in remaining if hasattr(block, "self_attn")]
    for cache_index, attention in enumerate(attentions):
        attention.layer_idx = cache_index
    layer_types = getattr(model.config, "layer_types", None)
    candidate.config.num_hidden_layers = len(kept)
    if layer_types is not None:
        candidate.config.layer_types = [layer_types[index] for index in kept]
    return candidate


def _remaining_block(block: Any, index: int, gone: set[Sublayer], memo: dict[int, Any]) -> nn.Module:
    left: nn.Module
    if Sublayer(index, "attention") in gone:
        left = MLPBlock(copy.deepcopy(block.post_attention_layernorm, memo), copy.deepcopy(block.mlp, memo))
    elif Sublayer(index, "mlp") in gone:
        left = AttentionBlock(copy.deepcopy(block.input_layernorm, memo), copy.deepcopy(block.self_attn, memo))
    else:
        return copy.deepcopy(block, memo)
    left.training = block.training
    return left
