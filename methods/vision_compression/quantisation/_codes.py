"""Layers whose weights are stored in a few bits each, channel by channel, and whose inputs have 8 bits."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from methods._techniques.packed_sparse import pack_bits, unpack_bits
from methods.vision_compression._layers import Layer, Restored, all_layers, watched, with_layers
from suites.vision_compression.task import CompressionTask

MOST = 8
"""Bits of a weight."""
INPUT_LEVELS = 255
FLOPS_STAY = "weights of fewer bits are multiplied as others are: FLOPs stay as they were"
PLACE = 128
"""Bytes a layer that are not spent: tensors begin at round places in a file."""

Range = tuple[Tensor, Tensor]
"""Least value and width of what is represented."""


class Codes(nn.Module):
    """Weights as step * (code - zero), a step and a zero for each output channel. planes: the first bit of all codes,
    then the second..., packed."""

    planes: Tensor
    step: Tensor
    zero: Tensor

    def __init__(self, codes: Tensor, step: Tensor, zero: Tensor, bits: int) -> None:
        """codes: integers (outputs, inputs). step, zero: (outputs, 1)."""
        super().__init__()
        self.shape, self.bits = tuple(codes.shape), bits
        places = torch.arange(bits, device=codes.device)[:, None, None]
        self.register_buffer("planes", pack_bits((codes.long() >> places & 1).bool()))
        self.register_buffer("step", step.float())
        self.register_buffer("zero", zero.to(torch.uint8))

    def codes(self) -> Tensor:
        """float32 (outputs, inputs)."""
        count = self.bits * self.shape[0] * self.shape[1]
        flags = unpack_bits(self.planes, count).view(self.bits, *self.shape)
        return sum((flag.float() * 2**place for place, flag in enumerate(flags)), self.step.new_zeros(self.shape))

    def forward(self) -> Tensor:
        return (self.codes() - self.zero) * self.step


class Quantised(Restored):
    """Inputs are rounded to 8 bits between two ends, unless there are none; a bias may train."""

    def __init__(self, layer: Layer, codes: Codes, ends: Range | None, bias: Tensor | None = None) -> None:
        super().__init__(layer, codes, bias)
        self.ends: tuple[float, int] | None = None
        if ends is not None:
            step, zero = step_and_zero(ends, INPUT_LEVELS)
            self.ends = float(step), int(zero)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.ends is not None:
            inputs = torch.fake_quantize_per_tensor_affine(inputs, *self.ends, 0, INPUT_LEVELS)
        return super().forward(inputs)

    def free_bias(self) -> None:
        """It trains from now on."""
        if self.bias is not None:
            bias = self.bias
            del self.bias
            self.bias = nn.Parameter(bias)


def step_and_zero(ends: Range, levels: int) -> tuple[Tensor, Tensor]:
    """Of a range; the zero is a level, so that 0 is represented exactly."""
    low, width = ends
    step = width.clamp(min=1e-8) / levels
    return step, (-low / step).round().clamp(0, levels)


def weight_range(weight: Tensor) -> Range:
    """Of each output channel, from its least weight to its largest, with 0 in it: (outputs, 1)."""
    rows = weight.detach().flatten(1)
    low, high = rows.amin(1, keepdim=True).clamp(max=0), rows.amax(1, keepdim=True).clamp(min=0)
    return low, high - low


def nearest(weight: Tensor, bits: int, ends: Range | None = None) -> Codes:
    """Each weight to the nearest level between the ends of its channel's range."""
    levels = 2**bits - 1
    step, zero = step_and_zero(ends or weight_range(weight), levels)
    return Codes((weight.detach().flatten(1) / step + zero).round().clamp(0, levels), step, zero, bits)


@torch.no_grad()
def input_ranges(model: nn.Module, images: Tensor) -> dict[str, Range]:
    """Of each layer, from the least to the largest that it is given, with 0 in it."""
    found: dict[str, Range] = {}

    def look(name: str, given: Tensor, _: Tensor) -> None:
        low, high = given.amin().clamp(max=0), given.amax().clamp(min=0)
        found[name] = low, high - low

    with watched(model, all_layers(model), look):
        model(images)
    return found


def rounded(model: nn.Module, bits: Mapping[str, int], ends: Mapping[str, Range] | None = None) -> nn.Module:
    """A copy with the weights of these layers rounded to nearest, and their inputs where ranges are given."""
    found = all_layers(model)
    return with_layers(
        model,
        {
            name: Quantised(found[name], nearest(found[name].weight, each), None if ends is None else ends[name])
            for name, each in bits.items()
        },
    )


def affordable_bits(task: CompressionTask, model: nn.Module, ends: Mapping[str, Range] | None = None) -> int:
    """Of all weights together, that the limits leave: bytes grow in a line with them."""
    found = all_layers(model)
    total = sum(each.weight.numel() for each in found.values())
    (limit,) = task.limits.result.values()
    few, many = (task.weigh(rounded(model, dict.fromkeys(found, bits), ends))["stored_ratio"] for bits in (1, MOST))
    a_bit = (many - few) / ((MOST - 1) * total)
    slack = 8 * PLACE * len(found)
    return min(MOST * total, int(total + (limit - few) / a_bit) - slack)


def unmet(task: CompressionTask, model: nn.Module, fewest: int) -> str | None:
    """Why not even so few bits for all weights meet the limits, or None. model: with batch norms folded."""
    if "flops_ratio" in task.limits.result:
        return FLOPS_STAY
    found = all_layers(model)
    if reason := task.still_over(rounded(model, dict.fromkeys(found, fewest)), f"{fewest} bits a weight"):
        return reason
    room = affordable_bits(task, model) // sum(each.weight.numel() for each in found.values())
    return None if room >= fewest else f"what stands beside the weights leaves no room for {fewest} bits a weight"
