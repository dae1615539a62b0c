"""Layers of 8-bit weights and inputs, whose products are those of oneDNN's 8-bit kernels."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, fake_quantize_per_tensor_affine, nn
from torch.nn.functional import conv2d

from methods.vision_compression._layers import Layer, Restored
from methods.vision_compression.quantisation._codes import INPUT_LEVELS, Range, step_and_zero

LARGEST = 127


class Steps(nn.Module):
    """Weights as codes times the step of their output channel. codes: int8 (outputs, ...). step: (outputs,)."""

    codes: Tensor
    step: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows = weight.detach().flatten(1)
        step = rows.abs().amax(1).clamp(min=1e-8) / LARGEST
        self.register_buffer("codes", (rows / step[:, None]).round().to(torch.int8).view(weight.shape))
        self.register_buffer("step", step)

    def forward(self) -> Tensor:
        return (self.codes.float().flatten(1) * self.step[:, None]).view(self.codes.shape)


class Int8(Restored):
    """A layer whose inputs are rounded to 8 bits between two ends. Elsewhere than on a CPU, where the kernels are, the
    same is computed in float32."""

    store: Steps

    def __init__(self, layer: Layer, ends: Range) -> None:
        super().__init__(layer, Steps(layer.weight))
        step, zero = step_and_zero(ends, INPUT_LEVELS)
        self.input_step, self.input_zero = float(step), int(zero)
        self.packed: Tensor | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.device.type != "cpu":
            ends = self.input_step, self.input_zero
            return super().forward(fake_quantize_per_tensor_affine(inputs, *ends, 0, INPUT_LEVELS))
        if self.packed is None:
            self.packed = self._pack()
        codes = (inputs / self.input_step).round_().add_(self.input_zero).clamp_(0, INPUT_LEVELS).to(torch.uint8)
        given = (codes, self.input_step, self.input_zero, self.packed, self.store.step, self._zeros(), self.bias)
        left_as_float = (1.0, 0, torch.float32, "none", [], "")
        product = torch.ops.onednn
        if self.convolution is None:
            return product.qlinear_pointwise(*given, *left_as_float)  # type: ignore[no-any-return]
        return product.qconv_pointwise(*given, *self.convolution.values(), *left_as_float)  # type: ignore[no-any-return]

    def _pack(self) -> Tensor:
        """In the order that the kernels want, which is another on each processor: never stored."""
        if self.convolution is None:
            return torch.ops.onednn.qlinear_prepack(self.store.codes, None)  # type: ignore[no-any-return]
        ends = self.store.step, self.input_step, self.input_zero
        return torch.ops.onednn.qconv_prepack(  # type: ignore[no-any-return]
            self.store.codes, *ends, *self.convolution.values(), None
        )

    def _zeros(self) -> Tensor:
        return torch.zeros(len(self.store.step), dtype=torch.int32)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"packed": None}


@cache
def exact() -> bool:
    """Whether this processor and this PyTorch have the kernels, and these are exact: without dot products of 8 bits,
    sums of large products saturate."""
    layer = nn.utils.skip_init(nn.Conv2d, 64, 1, 1, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    inputs = torch.full((1, 64, 1, 1), 1.0)
    try:
        found = Int8(layer, (torch.tensor(0.0), torch.tensor(1.0)))(inputs)
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(found, conv2d(inputs, layer.weight), rtol=1e-4)
