"""Filters that can be masked by a threshold that learns, with a light bypass beside their convolution."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from methods.vision_compression.filters._groups import Group, groups, take_inputs, take_numbers, take_outputs

SOFTNESS = 0.25
"""Of the sigmoid that a threshold gets its gradient from, in standard deviations of the scores."""
_MARGIN = 0.1
"""By how much a threshold is below all scores at first."""


class MaskedNorm(nn.Module):
    """The norm of a group's filters that is the last before their reader, while pruning goes on: maps of filters whose
    score is not above the threshold are zero, and the threshold learns as if the mask were a sigmoid.

    The score is the magnitude of the norm's scale, in standard deviations of the layer from its mean, both as they are
    at first: so are thresholds of all layers alike. bypass: how many maps of a bypass there are behind the filters';
    these stay. Without them one filter does.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, norm: nn.BatchNorm2d, bypass: int) -> None:
        super().__init__()
        self.norm, self.bypass, self.filters = norm, bypass, len(norm.weight) - bypass
        scales = norm.weight.detach()[: self.filters].abs()
        self.register_buffer("mean", scales.mean())
        self.register_buffer("deviation", scales.std(correction=0).clamp(min=1e-6))
        self.threshold = nn.Parameter(self.scores().detach().min() - _MARGIN)

    def scores(self) -> Tensor:
        """(filters,)."""
        return (self.norm.weight[: self.filters].abs() - self.mean) / self.deviation

    def stay(self, shift: float = 0.0) -> Tensor:
        """Bool (filters,): above the threshold, moved by `shift`."""
        scores = self.scores().detach()
        above = scores > self.threshold.detach() + shift
        if not self.bypass:
            above[scores.argmax()] = True
        return above

    def mask(self, scores: Tensor) -> Tensor:
        """(filters,) of 0 and 1, with the gradient of the sigmoid."""
        soft = ((scores - self.threshold) / SOFTNESS).sigmoid()
        return self.stay().to(soft.dtype) + soft - soft.detach()

    def count(self) -> Tensor:
        """Of the filters that stay. Its gradient is the threshold's alone."""
        return self.mask(self.scores().detach()).sum()

    def forward(self, given: Tensor) -> Tensor:
        mask = self.mask(self.scores())
        maps: Tensor = self.norm(given)
        return maps * torch.cat((mask, mask.new_ones(self.bypass)))[:, None, None]


class Beside(nn.Module):
    """A convolution, and beside it a bypass, whose maps come behind. A convolution whose filters are all gone is not
    there, and the bypass's are all the maps. Norms: of each, once the net is cut."""

    conv: Any
    norm: Any

    def __init__(self, conv: Any, bypass: nn.Conv2d) -> None:
        super().__init__()
        self.conv, self.norm = conv, nn.Identity()
        self.bypass, self.bypass_norm = bypass, nn.Identity()

    def forward(self, given: Tensor) -> Tensor:
        light: Tensor = self.bypass_norm(self.bypass(given))
        return light if self.conv is None else torch.cat((self.norm(self.conv(given)), light), 1)

    def cut(self, stay: Tensor, norm: Any) -> None:
        """Filters that stay, by number; norm: of these and of the bypass, which is taken in here."""
        every = torch.arange(len(norm.weight), device=stay.device)
        self.norm, self.bypass_norm = (copy.deepcopy(norm) for _ in range(2))
        take_numbers(self.norm, every[: len(stay)])
        take_numbers(self.bypass_norm, every[len(stay) :])
        take_outputs(self.conv, stay)
        if not len(stay):
            self.conv, self.norm = None, nn.Identity()


def pruned_groups(net: nn.Module) -> list[Group]:
    """All but that of the net's first convolution, which reads images. None of these reads another."""
    first = next(name for name, each in net.named_modules() if isinstance(each, nn.Conv2d))
    return [each for each in groups(net) if each.conv != first]


def masks(net: nn.Module) -> dict[Group, MaskedNorm]:
    """Of a net that has been prepared."""
    found = {each: net.get_submodule(each.depthwise_norm or each.norm) for each in pruned_groups(net)}
    return {group: mask for group, mask in found.items() if isinstance(mask, MaskedNorm)}


def prepare(net: nn.Module, bypass: float) -> None:
    """Gives each group a threshold, and a bypass of this share of its filters, unless that is 0; in place. A trained
    net stays what it is, as nobody reads a bypass at first."""
    for group in pruned_groups(net):
        beside = _add_bypass(net, group, bypass) if bypass else 0
        last = group.depthwise_norm or group.norm
        norm = net.get_submodule(last)
        assert isinstance(norm, nn.BatchNorm2d)
        net.set_submodule(last, MaskedNorm(norm, beside))


def cut(net: nn.Module, shift: float = 0.0) -> nn.Module:
    """A copy in which the filters are not there that are not above their thresholds, all moved by `shift`; its weights
    train."""
    smaller = copy.deepcopy(net)
    for group, masked in masks(smaller).items():
        stay = masked.stay(shift).nonzero().flatten()
        both = torch.cat((stay, masked.filters + torch.arange(masked.bypass, device=stay.device)))
        smaller.set_submodule(group.depthwise_norm or group.norm, masked.norm)
        for name in filter(None, (group.norm, group.depthwise_norm)):
            take_numbers(smaller.get_submodule(name), both)
        if group.depthwise:
            take_outputs(smaller.get_submodule(group.depthwise), both)
        take_inputs(smaller.get_submodule(group.reader), both)
        conv: Any = smaller.get_submodule(group.conv)
        if isinstance(conv, Beside):
            conv.cut(stay, smaller.get_submodule(group.norm))
            smaller.set_submodule(group.norm, nn.Identity())
        else:
            take_outputs(conv, stay)
    return smaller.requires_grad_(True)


@torch.no_grad()
def _add_bypass(net: nn.Module, group: Group, share: float) -> int:
    """A convolution of one pixel. How many maps it gives; they pass a depth-wise convolution as they are."""
    conv: Any = net.get_submodule(group.conv)
    count = max(1, round(share * int(conv.out_channels)))
    bypass = nn.Conv2d(conv.in_channels, count, 1, conv.stride, bias=False).to(conv.weight.device)
    net.set_submodule(group.conv, Beside(conv, bypass))
    for name in filter(None, (group.norm, group.depthwise_norm)):
        _widen_norm(net.get_submodule(name), count)
    if group.depthwise:
        _widen_depthwise(net.get_submodule(group.depthwise), count)
    _widen_reader(net.get_submodule(group.reader), count)
    return count


def _widen_norm(norm: Any, count: int) -> None:
    """By channels that it leaves as they are until it has learned."""
    for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
        old = getattr(norm, name)
        wider = torch.cat((old, old.new_full((count,), value)))
        setattr(norm, name, nn.Parameter(wider) if isinstance(old, nn.Parameter) else wider)
    norm.num_features += count


def _widen_depthwise(conv: Any, count: int) -> None:
    """By kernels that give what is in their middle."""
    kernels = conv.weight.new_zeros(count, *conv.weight.shape[1:])
    kernels[:, :, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = 1
    conv.weight = nn.Parameter(torch.cat((conv.weight, kernels)))
    conv.groups = conv.in_channels = conv.out_channels = len(conv.weight)


def _widen_reader(layer: Any, count: int) -> None:
    """By inputs that count as nothing until it has learned."""
    shape = list(layer.weight.shape)
    shape[1] = count
    layer.weight = nn.Parameter(torch.cat((layer.weight, layer.weight.new_zeros(shape)), 1))
    if isinstance(layer, nn.Linear):
        layer.in_features += count
    else:
        layer.in_channels += count
