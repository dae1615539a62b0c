"""Control: round to nearest."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from bench.contract import Card, Method
from methods.vision_compression._folding import folded
from methods.vision_compression._layers import all_layers
from methods.vision_compression.quantisation._codes import affordable_bits, input_ranges, rounded, unmet
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class RTN(Method[CompressionTask]):
    """Each weight is rounded to the nearest level of its channel, with the most bits, the same everywhere, that the
    limits leave. Batch norms are folded first.

    inputs: whether inputs of layers are rounded to 8 bits as well, between the least and the largest that calibration
    images give (min-max). images: of these.
    """

    card = Card(
        slug="rtn",
        title="Round to nearest",
        paper="Control: each weight to the nearest level of its channel",
        control=True,
        speed_realised=False,
        notes="Codes are packed bit by bit and unpacked for each product.",
    )
    variants: ClassVar = {"default": {}, "min-max": {"inputs": True}}

    inputs: bool = False
    images: int = 128

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task, folded(task.model), 1)

    def build(self, task: CompressionTask) -> nn.Module:
        model = folded(task.model)
        ends = input_ranges(model, task.calibration(self.images)) if self.inputs else None
        found = all_layers(model)
        bits = affordable_bits(task, model, ends) // sum(each.weight.numel() for each in found.values())
        return rounded(model, dict.fromkeys(found, bits), ends)
