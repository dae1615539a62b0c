"""Filters of a convolutional net that nothing else hangs on: of a chain from one convolution to the next, beside no
residual."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from suites.vision_compression.task import CompressionTask

Kept = Mapping[str, Tensor]
"""Name of a group's convolution -> indices of the filters that stay, ascending."""


@dataclass(frozen=True)
class Group:
    """Names of modules: the convolution whose filters these are and its norm, a depth-wise one behind it with its norm
    (or ""), and the layer that reads them."""

    conv: str
    norm: str
    depthwise: str
    depthwise_norm: str
    reader: str


def groups(model: nn.Module) -> list[Group]:
    """Of timm's ResNet: within its stem and its blocks. Of EfficientNet-lite0: within its blocks, and those that the
    head reads. None of other nets."""
    found = []
    for name, module in model.named_modules():
        kind, at = type(module).__name__, f"{name}." if name else ""
        if kind == "BasicBlock":
            found.append(Group(f"{at}conv1", f"{at}bn1", "", "", f"{at}conv2"))
        elif kind == "ResNet" and isinstance(module.conv1, nn.Sequential):
            found += [Group(f"{at}conv1.{i}", f"{at}conv1.{i + 1}", "", "", f"{at}conv1.{i + 3}") for i in (0, 3)]
        elif kind == "MBConvBlock":
            first = (f"{at}_expand_conv", f"{at}_bn0") if hasattr(module, "_expand_conv") else None
            if first is None:  # the first block: what its depth-wise convolution reads is made before it
                outer = at.split("_blocks.", maxsplit=1)[0]
                first = (f"{outer}_conv_stem", f"{outer}_bn0")
            found.append(Group(_conv(model, first[0]), first[1], _conv(model, f"{at}_depthwise_conv"), f"{at}_bn1",
                               f"{at}_project_conv"))  # fmt: skip
        elif kind == "EfficientNet":
            found.append(Group(f"{at}_conv_head", f"{at}_bn1", "", "", f"{at}_fc"))
    return found


def filters(model: nn.Module) -> dict[str, Tensor]:
    """The weights of each group's convolution: (filters, inputs, size, size)."""
    return {each.conv: model.get_parameter(f"{each.conv}.weight").detach() for each in groups(model)}


def none_there(task: CompressionTask) -> str | None:
    """Why filters can't be taken out of this base, or None."""
    return None if groups(task.model) else "it takes filters out of convolutions, and this base is a transformer"


def cut(model: nn.Module, kept: Kept) -> nn.Module:
    """A copy in which the other filters, and what reads them, are not there; its weights train."""
    found = copy.deepcopy(model)
    for group in groups(model):
        if group.conv not in kept:
            continue
        stay = kept[group.conv]
        for name in (group.conv, group.depthwise):
            if name:
                take_outputs(found.get_submodule(name), stay)
        for name in (group.norm, group.depthwise_norm):
            if name:
                take_numbers(found.get_submodule(name), stay)
        take_inputs(found.get_submodule(group.reader), stay)
    return found.requires_grad_(True)


def take_outputs(conv: Any, stay: Tensor) -> None:
    """Of a plain or depth-wise convolution, in place."""
    conv.weight = nn.Parameter(conv.weight.detach()[stay].clone())
    if conv.bias is not None:
        conv.bias = nn.Parameter(conv.bias.detach()[stay].clone())
    conv.out_channels = len(stay)
    if conv.groups > 1:
        conv.groups = conv.in_channels = len(stay)


def take_inputs(layer: Any, stay: Tensor) -> None:
    """Of a convolution or linear layer, in place."""
    layer.weight = nn.Parameter(layer.weight.detach()[:, stay].clone())
    if isinstance(layer, nn.Linear):
        layer.in_features = len(stay)
    else:
        layer.in_channels = len(stay)


def take_numbers(norm: Any, stay: Tensor) -> None:
    """Of a batch norm, in place."""
    norm.weight, norm.bias = (nn.Parameter(each.detach()[stay].clone()) for each in (norm.weight, norm.bias))
    norm.running_mean, norm.running_var = norm.running_mean[stay].clone(), norm.running_var[stay].clone()
    norm.num_features = len(stay)


def count_at(filters: int, share: float) -> int:
    """One at the least."""
    return max(1, int(share * filters))


def first(model: nn.Module, share: float) -> Kept:
    """Any so many of each group: for weighing."""
    return {name: torch.arange(count_at(len(each), share)) for name, each in filters(model).items()}


def _conv(model: nn.Module, name: str) -> str:
    """Where padding stands before it, they are two."""
    return f"{name}.1" if isinstance(model.get_submodule(name), nn.Sequential) else name
