"""Where a Pre-LN decoder reads its residual stream, and where it writes to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


@dataclass(frozen=True)
class Anatomy:
    """Dotted names of what touches the residual stream. Those of a block are relative to it.

    embeddings: tables whose rows are added up into the stream, the tokens' first. blocks: the list of blocks. reads:
    each norm of a block with the linears that take its output. writes: linears whose output is added to the stream.
    norm: the last norm, which the head reads.
    """

    embeddings: Sequence[str]
    blocks: str
    reads: Sequence[tuple[str, Sequence[str]]]
    writes: Sequence[str]
    norm: str
    head: str = "lm_head"


ANATOMIES = {
    "gpt2": Anatomy(
        embeddings=("transformer.wte", "transformer.wpe"),
        blocks="transformer.h",
        reads=(("ln_1", ("attn.c_attn",)), ("ln_2", ("mlp.c_fc",))),
        writes=("attn.c_proj", "mlp.c_proj"),
        norm="transformer.ln_f",
    ),
    "gpt_neox": Anatomy(
        embeddings=("gpt_neox.embed_in",),
        blocks="gpt_neox.layers",
        reads=(
            ("input_layernorm", ("attention.query_key_value",)),
            ("post_attention_layernorm", ("mlp.dense_h_to_4h",)),
        ),
        writes=("attention.dense", "mlp.dense_4h_to_h"),
        norm="gpt_neox.final_layer_norm",
    ),
    "opt": Anatomy(
        embeddings=("model.decoder.embed_tokens", "model.decoder.embed_positions"),
        blocks="model.decoder.layers",
        reads=(
            ("self_attn_layer_norm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
            ("final_layer_norm", ("fc1",)),
        ),
        writes=("self_attn.out_proj", "fc2"),
        norm="model.decoder.final_layer_norm",
    ),
}
"""By the model type of the configuration. Pythia is gpt_neox."""


def anatomy(model: Any) -> Anatomy | str:
    """The model's anatomy, or why it has none, in a sentence."""
    norms = {type(module).__name__ for module in model.modules() if type(module).__name__.endswith("Norm")}
    if "LayerNorm" not in norms:
        return f"the base has no LayerNorm ({', '.join(sorted(norms))}): there is no mean to take out"
    found = ANATOMIES.get(model.config.model_type)
    if found is None:
        return (
            f"Pre-LN models of type {model.config.model_type!r} are not described here; known: {', '.join(ANATOMIES)}"
        )
    decoder = model.get_decoder()
    post_norm = not getattr(model.config, "do_layer_norm_before", True)
    projected = getattr(decoder, "project_in", None) is not None
    if post_norm or projected or getattr(decoder, "final_layer_norm", True) is None:
        return "the base does not normalise what each sub-layer reads and what the head reads: it is not Pre-LN"
    return found


def readers(model: Any, of: Anatomy) -> Iterator[tuple[str, list[str]]]:
    """Full names of the norms of all blocks, each with the linears that read it."""
    for index in range(len(model.get_submodule(of.blocks))):
        for norm, linears in of.reads:
            yield f"{of.blocks}.{index}.{norm}", [f"{of.blocks}.{index}.{linear}" for linear in linears]


def writers(model: Any, of: Anatomy) -> list[str]:
    """Full names of the linears of all blocks that write to the stream."""
    return [
        f"{of.blocks}.{index}.{linear}" for index in range(len(model.get_submodule(of.blocks))) for linear in of.writes
    ]


def matrix(linear: Any) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) of a linear layer, float64; a bias that is not there is zero."""
    weight = linear.weight.detach().double()
    weight = weight.T if isinstance(linear, Conv1D) else weight
    return weight, linear.bias.detach().double() if linear.bias is not None else weight.new_zeros(len(weight))


def put(linear: Any, weight: Tensor, bias: Tensor) -> None:
    """Give a linear layer another weight (out, in), of any size, and bias; it stays without one if it is all zero.

    The layer's class stays, so that no other kernel than before is run.
    """
    dtype, conv = linear.weight.dtype, isinstance(linear, Conv1D)
    linear.weight = nn.Parameter((weight.T if conv else weight).to(dtype).contiguous(), linear.weight.requires_grad)
    if linear.bias is not None or bias.any():
        linear.bias = nn.Parameter(bias.to(dtype), linear.weight.requires_grad)
    if conv:
        linear.nf, linear.nx = weight.shape
    else:
        linear.out_features, linear.in_features = weight.shape


def affine(norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """Scale and shift (hidden,) of a LayerNorm, float64; 1 and 0 where it has none."""
    one = torch.ones(norm.normalized_shape, dtype=torch.float64)
    scale = norm.weight.detach().double() if norm.weight is not None else one
    shift = norm.bias.detach().double() if norm.bias is not None else torch.zeros_like(scale)
    return scale, shift
