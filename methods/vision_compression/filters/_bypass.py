"""A convolution with a light bypass beside it: filters that are pruned leave what the bypass gives in their place."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from methods.vision_compression._folding import pairs

SOFTNESS = 0.25
"""Of the sigmoid by which a threshold gets its gradient."""


def new_bypass(conv: nn.Conv2d) -> nn.Conv2d:
    """Of a pixel each, in as many groups as channels allow; as many channels as the convolution gives."""
    parts = math.gcd(conv.in_channels, conv.out_channels)
    return nn.Conv2d(conv.in_channels, conv.out_channels, 1, conv.stride[0], groups=parts, bias=False)


class Prunable(nn.Module):
    """While pruning goes on: a filter's map counts where the magnitude of its norm's scale is above the threshold, and
    the threshold learns as if that were a sigmoid.

    bypass: None for none. full, light: multiply-adds of an image, of the convolution and of the bypass.
    """

    def __init__(self, conv: Any, norm: Any, bypass: nn.Conv2d | None, pixels: int) -> None:
        super().__init__()
        self.conv, self.norm, self.bypass = conv, norm, bypass
        self.bypass_norm = None if bypass is None else nn.BatchNorm2d(conv.out_channels)
        self.threshold = nn.Parameter(torch.zeros(()))
        self.full = pixels * conv.weight.numel()
        self.light = 0 if bypass is None else pixels * bypass.weight.numel()

    def mask(self) -> Tensor:
        """(filters,) of 0 and 1, with the sigmoid's gradient."""
        soft = ((self.norm.weight.abs() - self.threshold) / SOFTNESS).sigmoid()
        hard = (self.norm.weight.abs() > self.threshold).to(soft.dtype)
        return hard + soft - soft.detach()

    def multiply_adds(self) -> Tensor:
        """Of an image, after pruning."""
        return self.mask().mean() * self.full + self.light

    def forward(self, given: Tensor) -> Tensor:
        found: Tensor = self.norm(self.conv(given)) * self.mask()[:, None, None]
        if self.bypass is not None and self.bypass_norm is not None:
            found = found + self.bypass_norm(self.bypass(given))
        return found

    def cut(self, shift: float = 0.0) -> "Cut":
        """Without the filters that are not above the threshold, moved by `shift`; without a bypass one stays."""
        scores = self.norm.weight.detach().abs()
        stays = scores > self.threshold.detach() + shift
        if self.bypass is None:
            stays[scores.argmax()] = True
        return Cut(self, stays.nonzero().flatten())


class Cut(nn.Module):
    """What is left: maps of the filters that stay are added where they belong. The others are not computed."""

    places: Tensor

    def __init__(self, whole: Prunable, stay: Tensor) -> None:
        super().__init__()
        old, norm = whole.conv, whole.norm
        self.outputs, self.stride = old.out_channels, old.stride[0]
        self.conv: nn.Conv2d | None = None
        self.norm: nn.BatchNorm2d | None = None
        if len(stay):
            self.conv = nn.Conv2d(
                old.in_channels, len(stay), old.kernel_size, old.stride, old.padding, old.dilation, bias=False
            )
            self.norm = nn.BatchNorm2d(len(stay), norm.eps, norm.momentum)
            with torch.no_grad():
                self.conv.weight.copy_(old.weight[stay])
            self.norm.load_state_dict(
                {name: each if each.ndim == 0 else each[stay] for name, each in norm.state_dict().items()}
            )
        self.bypass, self.bypass_norm = whole.bypass, whole.bypass_norm
        self.register_buffer("places", stay.clone())

    def forward(self, given: Tensor) -> Tensor:
        light = None if self.bypass is None else self.bypass_norm(self.bypass(given))  # type: ignore[misc]
        if self.conv is None:
            assert light is not None
            return light
        maps: Tensor = self.norm(self.conv(given))  # type: ignore[misc]
        if light is None:
            light = maps.new_zeros(len(maps), self.outputs, *maps.shape[2:])
        return light.index_add(1, self.places, maps)


def prunable(net: nn.Module, image: Tensor, bypass: bool) -> list[str]:
    """Makes every convolution of more than a pixel Prunable, with its norm, but the first; in place. Their names."""
    sizes: dict[str, int] = {}
    hooks = [
        each.register_forward_hook(lambda _, __, out, name=name: sizes.__setitem__(name, out[0, 0].numel()))
        for name, each in net.named_modules()
        if isinstance(each, nn.Conv2d)
    ]
    with torch.no_grad():
        net.eval()(image)
    for hook in hooks:
        hook.remove()
    names = []
    for name, norm in list(pairs(net).items())[1:]:
        conv = net.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        if conv.kernel_size == (1, 1):
            continue
        beside = new_bypass(conv) if bypass else None
        net.set_submodule(name, Prunable(conv, net.get_submodule(norm), beside, sizes[name]))
        net.set_submodule(norm, nn.Identity())
        names.append(name)
    return names
