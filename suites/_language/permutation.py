"""A permutation of a Llama model's channels that leaves its function as it is.

The packaged SmolLM2 holds weights that were rounded to 4 bits in blocks of 32 along each row. A method that rounds to
4 bits in the same blocks would find its work done and look lossless. Permuting the channels mixes 32 old blocks into
each new one, so that every quantiser meets the weights unprepared, while the network computes what it computed.
"""

import torch
from torch import Tensor, nn


@torch.no_grad()
def permute_channels(model: nn.Module, seed: int) -> None:
    """Permute, in place, the channels of a LlamaForCausalLM (biases included, embeddings tied or not).

    Three kinds of channel can be renamed without changing the function, because nothing in between depends on their
    order: those of the residual stream (RMSNorm weighs each alone and sums over all), the neurons of each MLP (the
    activation is elementwise), and the value dimensions within each KV head (attention mixes positions, not
    dimensions; every query head of the group reads them through its own columns of o_proj). Query and key dimensions
    stay, because rotary embedding pairs them.
    """
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    residual = torch.randperm(config.hidden_size, generator=generator)

    _permute(model.model.embed_tokens.weight, residual, 1)
    _permute(model.model.norm.weight, residual, 0)
    if model.lm_head.weight is not model.model.embed_tokens.weight:
        _permute(model.lm_head.weight, residual, 1)

    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for norm in (layer.input_layernorm, layer.post_attention_layernorm):
            _permute(norm.weight, residual, 0)
        for reader in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
            _permute(reader.weight, residual, 1)
        for writer in (attention.o_proj, mlp.down_proj):
            _permute_outputs(writer, residual)

        neurons = torch.randperm(mlp.gate_proj.out_features, generator=generator)
        _permute_outputs(mlp.gate_proj, neurons)
        _permute_outputs(mlp.up_proj, neurons)
        _permute(mlp.down_proj.weight, neurons, 1)

        head_dim, groups = attention.head_dim, attention.num_key_value_groups
        heads = attention.v_proj.out_features // head_dim
        within = [torch.randperm(head_dim, generator=generator) for _ in range(heads)]
        _permute_outputs(attention.v_proj, _by_head(within, head_dim))
        of_queries = [order for order in within for _ in range(groups)]  # query head q reads KV head q // groups
        _permute(attention.o_proj.weight, _by_head(of_queries, head_dim), 1)


def _by_head(orders: list[Tensor], head_dim: int) -> Tensor:
    """One order over all heads, (heads * head_dim,), from an order (head_dim,) within each."""
    return torch.cat([head * head_dim + order for head, order in enumerate(orders)])


def _permute_outputs(linear: nn.Linear, order: Tensor) -> None:
    _permute(linear.weight, order, 0)
    if linear.bias is not None:
        _permute(linear.bias, order, 0)


def _permute(weight: Tensor, order: Tensor, dim: int) -> None:
    weight.copy_(weight.index_select(dim, order))
