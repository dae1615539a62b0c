"""The layers of a classifier that hold nearly all of its weights, and layers whose weights are stored otherwise."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

Layer = nn.Conv2d | nn.Linear


def layers(model: nn.Module) -> dict[str, Layer]:
    """Linear layers and convolutions by name, in the order in which they stand; depth-wise ones, which have hardly any
    weights, are left out."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    }


class Restored(nn.Module):
    """A linear layer or convolution whose weight is made for the time of each call by `store()`, of any shape."""

    bias: Tensor | None

    def __init__(self, layer: Layer, store: nn.Module, bias: Tensor | None = None) -> None:
        """bias: in place of the layer's own."""
        super().__init__()
        self.store, self.shape = store, tuple(layer.weight.shape)
        self.convolution: dict[str, Any] | None = None
        if isinstance(layer, nn.Conv2d):
            self.convolution = {
                name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")
            }  # fmt: skip
        own = layer.bias if bias is None else bias
        self.register_buffer("bias", None if own is None else own.detach().clone())

    def forward(self, inputs: Tensor) -> Tensor:
        weight = self.store().view(self.shape)
        if self.convolution is None:
            return functional.linear(inputs, weight, self.bias)
        return functional.conv2d(inputs, weight, self.bias, **self.convolution)


def with_layers(model: nn.Module, replaced: Mapping[str, nn.Module]) -> nn.Module:
    """A copy in eval mode with these modules at these names; what they replace is not copied."""
    found = copy.deepcopy(model, {id(model.get_submodule(name)): nn.Identity() for name in replaced})
    for name, module in replaced.items():
        found.set_submodule(name, module)
    return found.eval().requires_grad_(False)
