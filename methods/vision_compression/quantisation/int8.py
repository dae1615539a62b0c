"""Control: 8 bits everywhere, by the kernels of a library."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from bench.contract import Card, Method
from methods.vision_compression._folding import folded
from methods.vision_compression._layers import layers, with_layers
from methods.vision_compression.quantisation._codes import FLOPS_STAY, Range, input_ranges
from methods.vision_compression.quantisation._kernels import Int8, exact
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class EightBits(Method[CompressionTask]):
    """Weights of 8 bits, channel by channel around zero, and inputs of 8 bits between the least and the largest that
    calibration images give. Products are of integers. Batch norms are folded first.

    images: for the ranges.
    """

    card = Card(
        slug="int8",
        title="8-bit kernels",
        paper="Control: round to nearest with 8 bits, computed by oneDNN",
        control=True,
        notes="Depth-wise convolutions, and those that pad for themselves, stay in float32. Without 8-bit dot products "
        "in the processor there is nothing to run; on a GPU weights are unpacked.",
    )

    images: int = 128

    def supports(self, task: CompressionTask) -> str | None:
        if "flops_ratio" in task.limits.result:
            return FLOPS_STAY
        if not exact():
            return "this PyTorch has no exact 8-bit products on this processor"
        unseen = dict.fromkeys(_plain(task.model), (torch.tensor(0.0), torch.tensor(1.0)))
        return task.still_over(_rounded(folded(task.model), unseen), "8 bits a weight")

    def build(self, task: CompressionTask) -> nn.Module:
        model = folded(task.model)
        return _rounded(model, input_ranges(model, task.calibration(self.images)))


def _plain(model: nn.Module) -> list[str]:
    """Layers that are no more than their class says."""
    return [name for name, each in layers(model).items() if type(each) in (nn.Conv2d, nn.Linear)]


def _rounded(model: nn.Module, ends: Mapping[str, Range]) -> nn.Module:
    found = layers(model)
    return with_layers(model, {name: Int8(found[name], ends[name]) for name in _plain(model)})
