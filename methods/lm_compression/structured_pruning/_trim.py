"""A smaller architecture of the same make: fewer blocks, a narrower residual stream, fewer query heads to a KV group,
fewer neurons. All blocks of the result have the same shape, so that it is an ordinary model of its kind.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from methods.lm_compression.layer_dropping._sublayers import drop, undroppable, whole_block
from methods.lm_compression.structured_pruning._cut import kv_groups, layers, narrow, spans, uncuttable


class Shape(NamedTuple):
    """Sizes of an architecture: blocks, channels of the residual stream, query heads to a KV group, neurons."""

    blocks: int
    hidden: int
    heads: int
    neurons: int


class Trimmed(NamedTuple):
    """What stays of a dense model, as ascending indices into it.

    blocks: of the blocks. hidden: LongTensor of the channels of the residual stream. heads, neurons: LongTensors for
    each dense block; as many heads of every KV group. norm_scales: factors on the weights of input_layernorm and
    post_attention_layernorm of each dense block in turn, and of the last norm.
    """

    blocks: Sequence[int]
    hidden: Tensor
    heads: Sequence[Tensor]
    neurons: Sequence[Tensor]
    norm_scales: Sequence[float]


def shape_of(model: Any) -> Shape:
    """The architecture of a model whose blocks are all alike."""
    first = layers(model)[0]
    heads = first.self_attn.q_proj.out_features // first.self_attn.k_proj.out_features
    return Shape(len(layers(model)), first.self_attn.q_proj.in_features, heads, first.mlp.down_proj.in_features)


def untrimmable(model: Any) -> str | None:
    """Why this model can't be trimmed, or None if it can."""
    return uncuttable(model) or undroppable(model)


def norms(model: Any) -> list[Any]:
    """All norms of the residual stream, in the order in which they run."""
    inner = [norm for layer in layers(model) for norm in (layer.input_layernorm, layer.post_attention_layernorm)]
    return [*inner, model.get_decoder().norm]


def leading(model: Any, shape: Shape) -> Trimmed:
    """The first of everything: for weighing a shape."""
    groups, dense = kv_groups(layers(model)[0].self_attn), shape_of(model)
    heads = (torch.arange(groups)[:, None] * dense.heads + torch.arange(shape.heads)).flatten()
    return Trimmed(
        range(shape.blocks),
        torch.arange(shape.hidden),
        [heads] * dense.blocks,
        [torch.arange(shape.neurons)] * dense.blocks,
        [1.0] * (2 * dense.blocks + 1),
    )


def trim(model: Any, kept: Trimmed, *, share_weights: bool = False) -> Any:
    """A copy of `model` with only what is kept; `model` is left unchanged. Tied embeddings stay tied.

    share_weights: the copy uses the model's own tensors where nothing is cut; for weighing and scoring only.
    """
    gone = [sub for block in set(range(len(layers(model)))) - set(kept.blocks) for sub in whole_block(block)]
    candidate = drop(model, gone, share_weights=True)
    for index, layer in zip(kept.blocks, layers(candidate), strict=True):
        _trim_attention(layer.self_attn, kept.hidden, kept.heads[index], share_weights)
        _trim_mlp(layer.mlp, kept.hidden, kept.neurons[index], share_weights)
    scales = [kept.norm_scales[2 * index + place] for index in kept.blocks for place in (0, 1)]
    for norm, scale in zip(norms(candidate), [*scales, kept.norm_scales[-1]], strict=True):
        weight = norm.weight.detach()[kept.hidden.to(norm.weight.device)]
        norm.weight = nn.Parameter((weight.float() * scale).to(weight), requires_grad=norm.weight.requires_grad)
    _trim_embeddings(candidate, kept.hidden, share_weights)
    shape = shape_of(candidate)
    attention = layers(candidate)[0].self_attn
    candidate.config.hidden_size, candidate.config.intermediate_size = shape.hidden, shape.neurons
    candidate.config.num_attention_heads = shape.heads * kv_groups(attention)
    candidate.config.head_dim = attention.head_dim
    return candidate


def _trim_attention(attention: Any, hidden: Tensor, heads: Tensor, share: bool) -> None:
    channels = spans(heads, attention.head_dim)
    attention.num_key_value_groups = len(heads) // kv_groups(attention)
    attention.q_proj = narrow(attention.q_proj, share, rows=channels, columns=hidden)
    attention.k_proj = narrow(attention.k_proj, share, columns=hidden)
    attention.v_proj = narrow(attention.v_proj, share, columns=hidden)
    attention.o_proj = narrow(attention.o_proj, share, rows=hidden, columns=channels)


def _trim_mlp(mlp: Any, hidden: Tensor, neurons: Tensor, share: bool) -> None:
    mlp.gate_proj = narrow(mlp.gate_proj, share, rows=neurons, columns=hidden)
    mlp.up_proj = narrow(mlp.up_proj, share, rows=neurons, columns=hidden)
    mlp.down_proj = narrow(mlp.down_proj, share, rows=hidden, columns=neurons)
    mlp.hidden_size, mlp.intermediate_size = len(hidden), len(neurons)


def _trim_embeddings(model: Any, hidden: Tensor, share: bool) -> None:
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    if share and len(hidden) == table.embedding_dim:
        return
    weight = table.weight.detach()[:, hidden.to(table.weight.device)].contiguous()
    small = nn.Embedding(*weight.shape, padding_idx=table.padding_idx, device="meta")
    small.weight = nn.Parameter(weight, requires_grad=table.weight.requires_grad)
    readout = narrow(head, share, columns=hidden)
    if head.weight is table.weight:
        readout.weight = small.weight
    model.set_input_embeddings(small)
    model.set_output_embeddings(readout)
