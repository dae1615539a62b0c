"""A copy of a decoder with narrower matrices: fewer KV groups in its attentions, fewer neurons in its MLPs.

A KV group is a key-value head with the query heads that read it. It leaves as a whole, so that queries, keys, values,
output projection and KV cache all shrink, and the stock attention code runs what is left: it derives the number of
heads from the width of its projections, and the number of queries to a group stays.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from suites._language.llama import ATTENTION_LINEARS, MLP_LINEARS, unlike_llama


class Kept(NamedTuple):
    """What stays of one layer: indices of its KV groups and of its MLP neurons, ascending LongTensors (count,)."""

    groups: Tensor
    neurons: Tensor


class InputMeans(NamedTuple):
    """Mean inputs of one layer's o_proj (query heads x head size,) and down_proj (neurons,), float64."""

    attention: Tensor
    mlp: Tensor


def layers(model: Any) -> nn.ModuleList:
    """The decoder layers of a causal LM, in order."""
    found: nn.ModuleList = model.get_decoder().layers
    return found


def output_projections(model: Any) -> list[nn.Linear]:
    """o_proj and down_proj of each layer in turn: their inputs are the channels of the heads and the neurons."""
    return [linear for layer in layers(model) for linear in (layer.self_attn.o_proj, layer.mlp.down_proj)]


def uncuttable(model: Any) -> str | None:
    """Why this model's heads and neurons can't be cut, or None if they can."""
    if reason := unlike_llama(model, "cut"):
        return reason
    for index, layer in enumerate(layers(model)):
        norm = getattr(layer.self_attn, "q_norm", None)
        if norm is not None and norm.weight.numel() != layer.self_attn.head_dim:
            return f"layer {index} normalises queries across heads: no head can be cut without changing the others"
    return None


def kv_groups(attention: Any) -> int:
    """How many KV groups an attention has."""
    groups: int = attention.k_proj.out_features // attention.head_dim
    return groups


def query_channels(attention: Any, groups: Tensor) -> Tensor:
    """Indices of the query channels (rows of q_proj, columns of o_proj) of these KV groups: LongTensor (channels,)."""
    return spans(groups, attention.q_proj.out_features // kv_groups(attention))


def all_kept(model: Any) -> list[Kept]:
    """Nothing cut."""
    return [
        Kept(torch.arange(kv_groups(layer.self_attn)), torch.arange(layer.mlp.down_proj.in_features))
        for layer in layers(model)
    ]


def cut(
    model: Any, kept: Sequence[Kept], means: Sequence[InputMeans] | None = None, *, share_weights: bool = False
) -> Any:
    """A copy of `model` with only what is kept of each layer; `model` is left unchanged.

    means: where given, the mean output of what is cut away is added to the bias of o_proj and down_proj, so that each
    layer's mean output over the data of the means stays, given its dense inputs. A matrix that lost nothing gets no
    bias.
    share_weights: the copy uses the model's own tensors where nothing is cut; for weighing only.
    """
    dense = list(layers(model))
    if len(kept) != len(dense):
        raise ValueError(f"the model has {len(dense)} layers, {len(kept)} were described")
    shared = list(model.parameters()) if share_weights else [weight for layer in dense for weight in _cuttable(layer)]
    candidate = copy.deepcopy(model, {id(tensor): tensor for tensor in shared})
    for index, layer in enumerate(layers(candidate)):
        mean = means[index] if means is not None else None
        _cut_attention(layer.self_attn, kept[index].groups, mean.attention if mean else None, share_weights)
        _cut_mlp(layer.mlp, kept[index].neurons, mean.mlp if mean else None, share_weights)
    return candidate


def _cut_attention(attention: Any, groups: Tensor, mean: Tensor | None, share: bool) -> None:
    channels = query_channels(attention, groups)
    heads = spans(groups, attention.head_dim)
    attention.o_proj = narrow(attention.o_proj, share, columns=channels, mean=mean)
    attention.q_proj = narrow(attention.q_proj, share, rows=channels)
    attention.k_proj = narrow(attention.k_proj, share, rows=heads)
    attention.v_proj = narrow(attention.v_proj, share, rows=heads)


def _cut_mlp(mlp: Any, neurons: Tensor, mean: Tensor | None, share: bool) -> None:
    mlp.gate_proj = narrow(mlp.gate_proj, share, rows=neurons)
    mlp.up_proj = narrow(mlp.up_proj, share, rows=neurons)
    mlp.down_proj = narrow(mlp.down_proj, share, columns=neurons, mean=mean)
    mlp.intermediate_size = len(neurons)


def narrow(
    linear: nn.Linear,
    share: bool,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    mean: Tensor | None = None,
) -> nn.Linear:
    """The linear layer on the kept rows and columns; what the cut columns give at their mean input joins the bias.

    share: where nothing is cut, the layer's own tensors are used.
    """
    weight, bias = linear.weight.detach(), linear.bias.detach() if linear.bias is not None else None
    if columns is not None and len(columns) < linear.in_features:
        if mean is not None:
            bias = _mean_output(linear, columns, mean)
        weight = weight[:, columns.to(weight.device)].contiguous()
    if rows is not None and len(rows) < linear.out_features:
        rows = rows.to(weight.device)
        weight, bias = weight[rows], bias[rows] if bias is not None else None
    if not share:
        weight, bias = _owned(weight, linear.weight), _owned(bias, linear.bias) if bias is not None else None
    result = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    result.weight = nn.Parameter(weight, requires_grad=linear.weight.requires_grad)
    if bias is not None:
        result.bias = nn.Parameter(bias, requires_grad=linear.weight.requires_grad)
    return result.train(linear.training)


def _owned(tensor: Tensor, dense: Tensor | None) -> Tensor:
    """The tensor, or a copy of it if it is still the dense one."""
    return tensor.clone() if dense is not None and tensor.data_ptr() == dense.data_ptr() else tensor


def _mean_output(linear: nn.Linear, kept_columns: Tensor, mean: Tensor) -> Tensor:
    """The old bias plus W[:, cut] @ mean[cut], summed in float64 and rounded once to the weight's type: (rows,)."""
    lost = torch.ones(linear.in_features, dtype=torch.bool)
    lost[kept_columns] = False
    lost = lost.to(linear.weight.device)
    bias = linear.weight.detach()[:, lost].double() @ mean.to(linear.weight.device)[lost]
    if linear.bias is not None:
        bias = bias + linear.bias.detach().double()
    return bias.to(linear.weight.dtype)


def _cuttable(layer: Any) -> Iterator[Tensor]:
    """Weights and biases that `narrow` copies by itself, so that the deep copy need not."""
    for part, linears in ((layer.self_attn, ATTENTION_LINEARS), (layer.mlp, MLP_LINEARS)):
        for name in linears:
            yield from getattr(part, name).parameters()


def spans(indices: Tensor, width: int) -> Tensor:
    """Indices of all channels of the heads (or groups) of this width: LongTensor (indices x width,)."""
    return (indices[:, None] * width + torch.arange(width)).flatten()
