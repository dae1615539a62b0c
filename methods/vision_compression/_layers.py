"""The layers of a classifier that hold nearly all of its weights, and layers whose weights are stored otherwise."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

Layer = nn.Conv2d | nn.Linear


def all_layers(model: nn.Module) -> dict[str, Layer]:
    """Convolutions, depth-wise ones too, and linear layers by name, in the order in which they stand."""
    return {name: each for name, each in model.named_modules() if isinstance(each, nn.Conv2d | nn.Linear)}


def layers(model: nn.Module) -> dict[str, Layer]:
    """The same without depth-wise convolutions, which have hardly any weights."""
    return {name: each for name, each in all_layers(model).items() if isinstance(each, nn.Linear) or each.groups == 1}


@contextmanager
def watched(model: nn.Module, names: Iterable[str], look: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """look(name, what it was given, what it gives) whenever one of these modules is called in here, before whoever
    comes next changes either in place."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda _, given, out: look(name, given[0], out)

    with ExitStack() as stack:
        for name in names:
            stack.callback(model.get_submodule(name).register_forward_hook(hook(name)).remove)
        yield


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
