"""Where a Pre-LN decoder reads and writes its residual stream; one with RMSNorm, written as Pre-LN."""

import copy
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


LLAMA = Anatomy(
    embeddings=("model.embed_tokens",),
    blocks="model.layers",
    reads=(
        ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    ),
    writes=("self_attn.o_proj", "mlp.down_proj"),
    norm="model.norm",
)
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
    "llama": LLAMA,
    "qwen2": LLAMA,
}
"""By the model type of the configuration. Pythia is gpt_neox; llama and qwen2 are Pre-LN after `pre_ln_form`."""


def anatomy(model: Any) -> Anatomy | str:
    """The anatomy of a Pre-LN model, or why it has none, in a sentence."""
    if not has_layer_norm(model):
        return f"the base has no LayerNorm ({', '.join(sorted(_norms(model)))}): there is no mean to take out"
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


def why_no_pre_ln_form(model: Any) -> str | None:
    """Why `pre_ln_form` can't give one, in a sentence."""
    if has_layer_norm(model):
        found = anatomy(model)
        return found if isinstance(found, str) else None
    if ANATOMIES.get(model.config.model_type) is not LLAMA:
        return f"no LayerNorm, and of type {model.config.model_type!r}: only Llama and Qwen2 can be written as Pre-LN"
    return None


@torch.no_grad()
def pre_ln_form(model: Any) -> Any:
    """The same function as a Pre-LN Transformer: a Pre-LN model itself; of one with RMSNorm, a wider copy.

    With x the residual stream of d numbers, the copy's is y = (c Q + 1 u') x of D numbers, D the next multiple of 64:
    Q is a random isometry (D, d) whose columns have mean zero, c = sqrt(D / d), u random. LayerNorm takes the mean
    u'x out, and what is left has the variance |x|^2 / d: LayerNorm(y) = c Q x / sqrt(|x|^2 / d + eps). So what writes
    to the stream is multiplied by c Q + 1 u', and what reads it by Q' / c after the norm's scale.

    Raises: ValueError, as `why_no_pre_ln_form` has it.
    """
    if reason := why_no_pre_ln_form(model):
        raise ValueError(reason)
    if has_layer_norm(model):
        return model
    model, of = copy.deepcopy(model), LLAMA
    turn, mean = _isometry(model.config.hidden_size, next(model.parameters()).device)
    wide, narrow = turn.shape
    scale = (wide / narrow) ** 0.5
    written, reading = scale * turn + mean, turn.T / scale

    def norm(name: str) -> Tensor:
        """The scale of an RMSNorm, which LayerNorm without one replaces."""
        old = model.get_submodule(name)
        model.set_submodule(name, nn.LayerNorm(wide, eps=old.variance_epsilon, elementwise_affine=False))
        gain: Tensor = old.weight.detach().double()
        return gain

    embedding, head = model.get_submodule(of.embeddings[0]), model.get_submodule(of.head)
    table = embedding.weight.detach().double()
    put(head, matrix(head)[0] * norm(of.norm) @ reading, matrix(head)[1])
    embedding.weight = nn.Parameter((table @ written.T).to(embedding.weight.dtype), embedding.weight.requires_grad)
    embedding.embedding_dim = wide
    for linear in map(model.get_submodule, writers(model, of)):
        weight, bias = matrix(linear)
        put(linear, written @ weight, written @ bias)
    for name, linears in readers(model, of):
        gain = norm(name)
        for linear in map(model.get_submodule, linears):
            weight, bias = matrix(linear)
            put(linear, weight * gain @ reading, bias)
    model.config.hidden_size, model.config.tie_word_embeddings = wide, False
    return model


def has_layer_norm(model: Any) -> bool:
    return "LayerNorm" in _norms(model)


def _norms(model: Any) -> set[str]:
    return {type(module).__name__ for module in model.modules() if type(module).__name__.endswith("Norm")}


def _isometry(narrow: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Q (D, narrow) with orthonormal columns of mean zero, and the rows' common u (narrow,), float64, always the same.

    D: the next multiple of 64 above `narrow`.
    """
    wide = (narrow // 64 + 1) * 64
    rng = torch.Generator().manual_seed(0)
    drawn = torch.randn(wide, narrow, generator=rng, dtype=torch.float64)
    mean = torch.randn(narrow, generator=rng, dtype=torch.float64) / narrow**0.5
    turn, _ = torch.linalg.qr(drawn - drawn.mean(0, keepdim=True))
    return turn.to(device), mean.to(device)


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


def affine(norm: nn.LayerNorm, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scale and shift (hidden,) of a LayerNorm, float64; 1 and 0, on the device, where it has none."""
    one = torch.ones(norm.normalized_shape, dtype=torch.float64, device=device)
    scale = norm.weight.detach().double() if norm.weight is not None else one
    shift = norm.bias.detach().double() if norm.bias is not None else torch.zeros_like(scale)
    return scale, shift
