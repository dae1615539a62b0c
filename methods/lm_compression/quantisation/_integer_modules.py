"""The parts of a Llama-like decoder that are no linear layers, computed on integers in blocks.

Between parts numbers stand in the model's floating type, as the libraries around expect it; what an 8-bit block holds
fits bfloat16 exactly.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from methods._techniques.block_linear import BlockLinear
from methods._techniques.blockwise import Blocks, integer_product, power_of_two, to_blocks
from methods._techniques.integer_functions import (
    DIGIT,
    digits,
    fixed_point,
    rms_normalised,
    silu,
    softmax_weights,
)

SCORES_AT_ONCE = 2**20
"""Scores of attention that are held at a time, 4 MiB: queries are taken in pieces."""

NORM_BITS = 16
"""Of the residual stream where it is normalised: it has 16 bits between the operators too, and beside one massive
channel 8 bits would leave nothing of the others of its block."""

_LEAST_NORM_EXPONENT = -30
"""So that epsilon, in units of 4^exponent, stays within 64 bits."""


class IntegerRMSNorm(nn.Module):
    """x / rms(x) * gain in integers: 16-bit x and 8-bit gain, in blocks, and the root from a table."""

    gain: Tensor
    exponent: Tensor

    def __init__(self, gain: Tensor, epsilon: float, block: int | None) -> None:
        super().__init__()
        kept = to_blocks(gain.detach(), block)
        self.epsilon = epsilon
        self.register_buffer("gain", kept.values)
        self.register_buffer("exponent", kept.exponent.to(torch.int8))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., channels) -> the same."""
        blocks = to_blocks(x, self.gain.shape[1], NORM_BITS, _LEAST_NORM_EXPONENT)
        values, exponent = rms_normalised(blocks, self.epsilon)
        return Blocks(values.mul_(self.gain), exponent + self.exponent).floats.to(x.dtype)


class IntegerMLP(nn.Module):
    """down(SiLU(gate(x)) * up(x)): SiLU by table, the product of both integer, rounded to 8-bit blocks again."""

    def __init__(self, gate: BlockLinear, up: BlockLinear, down: BlockLinear) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = gate, up, down

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., hidden) -> the same."""
        inputs = to_blocks(x, self.gate_proj.width)
        block = self.down_proj.width
        gate, up = (to_blocks(linear.of_blocks(inputs), block) for linear in (self.gate_proj, self.up_proj))
        values, exponent = silu(gate)
        hidden = to_blocks(Blocks(values.mul_(up.values), exponent + up.exponent).floats, block)
        return self.down_proj.of_blocks(hidden).to(x.dtype)


class IntegerAttention(nn.Module):
    """Self-attention with rotary positions and grouped queries, whose products and softmax are integer.

    Queries, keys and values are 8-bit blocks of a head each, or of all heads of a token (`by_head` False). The cache
    holds keys and values as int8, (batch, heads, tokens, head size + 1): the last channel is the exponent.
    """

    def __init__(self, attention: Any, by_head: bool) -> None:
        super().__init__()
        self.layer_idx, self.head_dim, self.scaling = attention.layer_idx, attention.head_dim, attention.scaling
        self.by_head = by_head
        self.q_proj, self.k_proj = attention.q_proj, attention.k_proj
        self.v_proj, self.o_proj = attention.v_proj, attention.o_proj

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """hidden_states: (batch, tokens, hidden) -> the same; attention_mask: as of transformers' sdpa or eager, of
        which only what is hidden is taken, or None for the causal one."""
        inputs = to_blocks(hidden_states, self.q_proj.width)
        query, key, value = (
            linear.of_blocks(inputs).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for linear in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
        keys, values = (self._packed(states) for states in (key, value))
        if past_key_values is not None:
            keys, values = past_key_values.update(keys, values, self.layer_idx)
        mixed = integer_attention(self._packed(query), keys, values, attention_mask, self.scaling)
        return self.o_proj(mixed.transpose(1, 2).flatten(2).to(hidden_states.dtype)), None

    def _packed(self, states: Tensor) -> Tensor:
        """(batch, heads, tokens, head size) as int8, with the exponent behind the last channel."""
        batch, heads, tokens, size = states.shape
        by_token = states.transpose(1, 2).reshape(batch, tokens, -1)
        blocks = to_blocks(by_token, size if self.by_head else None)
        values = blocks.values.view(batch, tokens, heads, size)
        exponent = blocks.exponent.to(torch.int8)[..., None].expand(-1, -1, heads, 1)
        return torch.cat((values, exponent), -1).transpose(1, 2)


def integer_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """float32 (batch, heads, queries, size) of int8 (batch, heads, tokens, size + 1), exponents last; fewer heads of
    keys and values are shared among those of queries.

    mask: (batch or 1, 1, queries, keys or more), True or 0 where a key is seen; None: all keys up to the query's own.
    """
    batch, heads, tokens, _ = query.shape
    shared, keys, size = key.shape[1], key.shape[2], value.shape[3] - 1
    grouped = query.unflatten(1, (shared, heads // shared))
    if mask is not None:
        mask = (mask if mask.dtype == torch.bool else mask >= 0)[..., :keys]
    result = torch.empty(batch, heads, tokens, size, device=query.device)
    step = max(1, SCORES_AT_ONCE // (batch * heads * keys))
    for start in range(0, tokens, step):
        stop = min(start + step, tokens)
        seen = keys if mask is not None else keys - tokens + stop
        keep = (
            _causal(keys - tokens + start, stop - start, seen, query.device)
            if mask is None
            else mask[..., start:stop, :]
        )
        part = _attend(grouped[..., start:stop, :], key[:, :, :seen], value[:, :, :seen], keep, scaling)
        result[:, :, start:stop] = part
    return result


def _causal(before: int, queries: int, keys: int, device: torch.device) -> Tensor:
    """(queries, keys), True where query i, with `before` keys before the first one, sees a key."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril_(before)


def _attend(query: Tensor, key: Tensor, value: Tensor, keep: Tensor, scaling: float) -> Tensor:
    """float32 (batch, heads, queries, size); query: (batch, shared heads, group, queries, size + 1)."""
    batch, shared, group, tokens, _ = query.shape
    rows = query.reshape(batch * shared, group * tokens, -1)
    columns, mixed = key.flatten(0, 1), value.flatten(0, 1)
    sums = torch.empty(len(rows), rows.shape[1], columns.shape[1], dtype=torch.int32, device=query.device)
    for q, k, out in zip(rows, columns, sums, strict=True):
        integer_product(q[:, :-1], k[:, :-1].t(), out)
    scores = (sums * (power_of_two(rows[..., -1:]) * (scaling * math.log2(math.e)))).mul_(_scale(columns))
    by_query = scores.view(batch, shared, group, tokens, -1)
    weights = softmax_weights(fixed_point(by_query, keep.unsqueeze(-3))).view_as(sums)
    total = weights.sum(-1, keepdim=True)
    # A value's exponent goes with its weight, so that all of a query's terms have one scale.
    high, low, exponent = digits(weights * _scale(mixed))
    highs, lows = (
        torch.empty(*rows.shape[:2], mixed.shape[2] - 1, dtype=torch.int32, device=query.device) for _ in "hl"
    )
    for index, v in enumerate(mixed):
        integer_product(high[index], v[:, :-1], highs[index])
        integer_product(low[index], v[:, :-1], lows[index])
    found = ((highs.long() << DIGIT) + lows).float() * power_of_two(exponent) / total
    return found.view(batch, shared * group, tokens, -1)


def _scale(packed: Tensor) -> Tensor:
    """2^exponent of int8 (heads, tokens, size + 1): (heads, 1, tokens)."""
    return power_of_two(packed[..., -1])[:, None]
