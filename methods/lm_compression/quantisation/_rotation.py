"""A decoder in other coordinates: its residual stream and its values are rotated, its function stays.

RMSNorm commutes with rotations once its gains are folded into the matrices that read from it (Ashkboos et al., 2024,
SliceGPT, https://arxiv.org/abs/2401.15024). A randomised Hadamard matrix spreads whatever is large in a few channels
over all of them (Ashkboos et al., 2024, QuaRot, https://arxiv.org/abs/2404.00456). Rotated are, once and for all, the
residual stream and the values within each head; nothing is rotated while the model runs.

Where embeddings and head are tied, the gains of the last norm can't be folded into the one without the other. They
become a small matrix between the norm and the head, in the rotated coordinates: tied matrices stay tied, for a quarter
of a per cent of a small model's bytes and FLOPs.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from suites._language.llama import unlike_llama

Rotation = Callable[[Tensor], Tensor]


@cache
def hadamard(size: int) -> Tensor | None:
    """A Hadamard matrix, float64 of +1 and -1 (size, size), H H^T = size I; None if these constructions have none.

    Sylvester's doubling of one of Paley's two (Paley, 1933): of order q + 1 for a prime q = 3 mod 4, of order 2 (q + 1)
    for a prime q = 1 mod 4. 576 = 16 x 36 with q = 17, 1536 = 128 x 12 with q = 11.
    """
    if size == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    for found in (_paley_first(size - 1), _paley_second(size // 2 - 1) if size % 2 == 0 else None):
        if found is not None:
            return found
    half = hadamard(size // 2) if size % 2 == 0 else None
    return None if half is None else torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64), half)


def _paley_first(q: int) -> Tensor | None:
    if q % 4 != 3 or not _prime(q):
        return None
    skew = torch.zeros(q + 1, q + 1, dtype=torch.float64)
    skew[0, 1:], skew[1:, 0], skew[1:, 1:] = 1, -1, _residues(q)
    return skew + torch.eye(q + 1, dtype=torch.float64)


def _paley_second(q: int) -> Tensor | None:
    if q % 4 != 1 or not _prime(q):
        return None
    symmetric = torch.zeros(q + 1, q + 1, dtype=torch.float64)
    symmetric[0, 1:], symmetric[1:, 0], symmetric[1:, 1:] = 1, 1, _residues(q)
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    diagonal = torch.tensor([[1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
    return torch.kron(symmetric, signs) + torch.kron(torch.eye(q + 1, dtype=torch.float64), diagonal)


def _residues(q: int) -> Tensor:
    """(q, q) with the quadratic character of i - j modulo the prime q: 0, 1 for squares, -1 for the others."""
    character = torch.full((q,), -1.0, dtype=torch.float64)
    character[[x * x % q for x in range(1, q)]] = 1
    character[0] = 0
    positions = torch.arange(q)
    return character[(positions[:, None] - positions) % q]


def _prime(q: int) -> bool:
    return q > 1 and all(q % divisor for divisor in range(2, math.isqrt(q) + 1))


def random_rotation(size: int, generator: torch.Generator) -> Tensor:
    """Orthogonal, float64 (size, size): a Hadamard matrix with random signs of its rows, or where none is known a
    random orthogonal matrix."""
    known = hadamard(size)
    if known is None:
        gaussian = torch.randn(size, size, generator=generator, dtype=torch.float64)
        factor, triangle = torch.linalg.qr(gaussian)
        return factor * triangle.diagonal().sign()
    signs = torch.randint(0, 2, (size, 1), generator=generator).double() * 2 - 1
    return signs * known / math.sqrt(size)


@torch.no_grad()
def rotate(model: Any, seed: int) -> None:
    """Rotate a Llama-like model in place: the residual stream h becomes h Q, and the values v of each head v R.

    Weights are turned in float64 and rounded to their type once. Tied embeddings stay tied.
    """
    generator = torch.Generator().manual_seed(seed)
    hidden = model.get_input_embeddings().weight.shape[1]
    stream = random_rotation(hidden, generator)
    decoder = model.get_decoder()
    for layer in decoder.layers:
        attention, mlp = layer.self_attn, layer.mlp
        value = random_rotation(attention.head_dim, generator)
        _fold(layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj])
        _fold(layer.post_attention_layernorm, [mlp.gate_proj, mlp.up_proj])
        for reader in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
            _turn_inputs(reader, stream)
        _turn_outputs(attention.v_proj, value)
        _turn_inputs(attention.o_proj, value)
        for writer in (attention.o_proj, mlp.down_proj):
            _turn_outputs(writer, stream)
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head.weight is table.weight
    _turn_inputs(table, stream)
    if tied:
        add_mixing(model)
        mixing = decoder.norm[1]
        turn, gains = stream.to(mixing.weight.device), decoder.norm[0].weight.double()
        mixing.weight.copy_(turn.T @ (gains[:, None] * turn))
        decoder.norm[0].weight.fill_(1.0)
    else:
        _fold(decoder.norm, [head])
        _turn_inputs(head, stream)


def add_mixing(model: Any) -> None:
    """Put a linear layer of the stream's width behind the last norm of a model whose head is tied to its embeddings."""
    table, decoder = model.get_input_embeddings().weight, model.get_decoder()
    width = table.shape[1]
    decoder.norm = nn.Sequential(
        decoder.norm, nn.Linear(width, width, bias=False, dtype=table.dtype, device=table.device).requires_grad_(False)
    )


def is_tied(model: Any) -> bool:
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def unrotatable(model: Any) -> str | None:
    """Why this model can't be rotated, or None if it can."""
    if reason := unlike_llama(model, "rotated"):
        return reason
    decoder = model.get_decoder()
    for index, layer in enumerate(decoder.layers):
        norms = [name for name, module in layer.named_children() if "norm" in name]
        if sorted(norms) != ["input_layernorm", "post_attention_layernorm"]:
            return f"layer {index} has the norms {', '.join(norms)}: only Llama-like layers can be rotated"
    for name, module in [*decoder.layers[0].named_children(), ("norm", decoder.norm)]:
        if "norm" in name and (type(module).__name__.endswith("RMSNorm") is False or hasattr(module, "bias")):
            return f"{name} is a {type(module).__name__}: only RMSNorm keeps its value under a rotation"
    return None


def _fold(norm: Any, readers: list[Any]) -> None:
    """Move the gains of a norm into the linear layers that read from it."""
    for reader in readers:
        reader.weight.copy_(reader.weight.double() * norm.weight.double())
    norm.weight.fill_(1.0)


def _turn_inputs(module: Any, rotation: Tensor) -> None:
    """W x = (W R) (R^T x) for every run of inputs as wide as the rotation; an embedding's rows are turned alike."""
    weight = module.weight
    turned = weight.double().unflatten(1, (-1, len(rotation))) @ rotation.to(weight.device)
    weight.copy_(turned.flatten(1))


def _turn_outputs(linear: Any, rotation: Tensor) -> None:
    """y R for every run of outputs y as wide as the rotation."""
    weight, size = linear.weight, len(rotation)
    turn = rotation.to(weight.device).T
    weight.copy_((turn @ weight.double().unflatten(0, (-1, size))).flatten(0, 1))
    if linear.bias is not None:
        linear.bias.copy_((linear.bias.double().unflatten(0, (-1, size)) @ turn.T).flatten())
