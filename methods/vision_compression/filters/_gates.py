"""Gates that choose for each image which filters are computed, how a net is trained under them, and how it serves."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from methods.vision_compression._folding import folded
from methods.vision_compression.filters._groups import Group, cut, filters, first, groups, none_there
from suites.vision_compression.task import CompressionTask

Gates = Mapping[str, "Gate"]
"""Name of a group's convolution -> its gate."""
_WIDE, _HALVINGS = 30.0, 12
"""Thresholds that are tried, and how often their range is halved."""


class Gate(nn.Module):
    """Says of an image which filters fire, by what their convolution is given: its mean over the pixels, a softmax over
    channels, a linear layer. A filter is chosen where that is above the threshold; the likeliest always is."""

    threshold = 0.0

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, given: Tensor, there: Tensor | None = None) -> Tensor:
        """Logits (n, filters), of (n, channels, height, width). there: the channels that were computed, of one image;
        the others are 0."""
        means = given.mean((2, 3))
        if there is not None:
            means = means.new_zeros(1, self.linear.in_features).index_copy_(1, there, means)
        return self.of_means(means)

    def of_means(self, means: Tensor) -> Tensor:
        """(n, channels) -> (n, filters)."""
        logits: Tensor = self.linear(means.softmax(-1))
        return logits

    def chosen(self, logits: Tensor) -> Tensor:
        """Bool (n, filters)."""
        return (logits > self.threshold) | (logits == logits.amax(-1, keepdim=True))


class GatedNet(nn.Module):
    """A net in training, with gates: what a group's reader is given is masked as its gate says. Hooks do it, so that
    the net itself stays as it is. joint: whether the gate's loss moves what comes before it."""

    def __init__(self, net: nn.Module, gates: Gates, joint: bool = False) -> None:
        super().__init__()
        self.net, self.joint = net, joint
        self.gates = nn.ModuleList(gates.values())
        self.groups = [each for each in groups(net) if each.conv in gates]
        self.logits: dict[int, Tensor] = {}
        self.responses: dict[int, Tensor] = {}

    def forward(self, inputs: Tensor) -> Tensor:
        self.logits, self.responses = {}, {}
        with _hooked(self.net, self.groups, self._predict, self._listen, self._mask):
            found: Tensor = self.net(inputs)
        return found

    def _predict(self, index: int, given: Tensor) -> None:
        self.logits[index] = self.gates[index](given if self.joint else given.detach())

    def _listen(self, index: int, given: Tensor) -> None:
        self.responses[index] = response(given.detach())

    def _mask(self, index: int, given: Tensor) -> Tensor:
        gate: Any = self.gates[index]
        mask = gate.chosen(self.logits[index].detach()).to(given.dtype)
        return given * mask.view(*mask.shape, *[1] * (given.ndim - 2))


def response(given: Tensor) -> Tensor:
    """Of each filter the largest magnitude of its map: (n, filters)."""
    return given.abs().flatten(2).amax(-1) if given.ndim == 4 else given.abs()


@torch.no_grad()
def responses(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Of all groups, by the name of their convolution."""
    found: dict[str, Tensor] = {}
    every = groups(net)
    with _hooked(
        net, every, lambda *_: None, lambda index, given: found.__setitem__(every[index].conv, response(given)),
        lambda _, given: given,
    ):  # fmt: skip
        net(images)
    return found


@contextmanager
def _hooked(
    net: nn.Module,
    every: list[Group],
    before: Callable[[int, Tensor], None],
    listen: Callable[[int, Tensor], None],
    read: Callable[[int, Tensor], Tensor],
) -> Iterator[None]:
    """before: is given what goes into a group's convolution; listen: its filters' maps; read: what is to be given to
    its reader, and gives what is."""
    hooks = []
    for index, group in enumerate(every):
        hooks.append(
            net.get_submodule(group.conv).register_forward_pre_hook(lambda _, args, i=index: before(i, args[0]))
        )
        hooks.append(
            net.get_submodule(group.depthwise or group.reader).register_forward_pre_hook(
                lambda _, args, i=index: listen(i, args[0])
            )
        )
        hooks.append(
            net.get_submodule(group.reader).register_forward_pre_hook(lambda _, args, i=index: (read(i, args[0]),))
        )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


# --- what serves: filters that are not chosen are not computed ---


class Choice(nn.Module):
    """Which filters of a group are computed, of the image that is looked at now."""

    filters: Tensor | None = None


class ChosenFilters(nn.Module):
    """A group's convolution, with its gate. before: the choice of the group whose filters it reads, if it does."""

    def __init__(self, conv: Any, gate: Gate, choice: Choice, before: Choice | None = None) -> None:
        super().__init__()
        self.conv, self.gate, self.choice, self.before = conv, gate, choice, before

    def forward(self, given: Tensor) -> Tensor:
        """Of one image."""
        there = None if self.before is None else self.before.filters
        self.choice.filters = now = self.gate.chosen(self.gate(given, there))[0].nonzero().flatten()
        conv = self.conv
        weight = conv.weight[now] if there is None else conv.weight[now][:, there]
        return conv2d(given, weight, conv.bias[now], conv.stride, conv.padding, conv.dilation)


class ChosenDepthwise(nn.Module):
    """A depth-wise convolution of the filters that were computed."""

    def __init__(self, conv: Any, choice: Choice) -> None:
        super().__init__()
        self.conv, self.choice = conv, choice

    def forward(self, given: Tensor) -> Tensor:
        conv, now = self.conv, self.choice.filters
        return conv2d(given, conv.weight[now], conv.bias[now], conv.stride, conv.padding, conv.dilation, len(given[0]))


class ChosenReader(nn.Module):
    """What reads the filters that were computed."""

    def __init__(self, layer: Any, choice: Choice) -> None:
        super().__init__()
        self.layer, self.choice = layer, choice

    def forward(self, given: Tensor) -> Tensor:
        layer, now = self.layer, self.choice.filters
        weight = layer.weight[:, now]
        if isinstance(layer, nn.Linear):
            return linear(given, weight, layer.bias)
        return conv2d(given, weight, layer.bias, layer.stride, layer.padding, layer.dilation)


class OneByOne(nn.Module):
    """Images go through the net one after the other, as each has filters of its own."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([self.net(image) for image in torch.split(inputs, 1)])


def serving(net: nn.Module, gates: Gates) -> nn.Module:
    """The net, batch norms folded, in which each group computes what its gate chooses."""
    plain, before = folded(net), {}
    for group in groups(plain):
        choice = Choice()
        conv = plain.get_submodule(group.conv)
        plain.set_submodule(group.conv, ChosenFilters(conv, gates[group.conv], choice, before.get(group.conv)))
        if group.depthwise:
            plain.set_submodule(group.depthwise, ChosenDepthwise(plain.get_submodule(group.depthwise), choice))
        if group.reader in gates:  # the next group's convolution
            before[group.reader] = choice
        else:
            plain.set_submodule(group.reader, ChosenReader(plain.get_submodule(group.reader), choice))
    return OneByOne(plain.eval().requires_grad_(False))


def lowest_threshold(task: CompressionTask, net: nn.Module, gates: Gates) -> float:
    """Above which a filter is chosen: the lowest at which the limits are met, of a range that is halved."""
    low, high = -_WIDE, _WIDE
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if task.limits.met_by(task.weigh(with_threshold(net, gates, middle))):
            high = middle
        else:
            low = middle
    return high


def with_threshold(net: nn.Module, gates: Gates, threshold: float) -> nn.Module:
    for gate in gates.values():
        gate.threshold = threshold
    return serving(net, gates)


def new_gates(net: nn.Module, kind: type[Gate] = Gate) -> dict[str, Any]:
    """One for each group, with new random weights."""
    return {name: kind(weight.shape[1], len(weight)) for name, weight in filters(net).items()}


def unmet(task: CompressionTask) -> str | None:
    """Why gates can't do it, or None."""
    if "stored_ratio" in task.limits.result:
        return "all filters are stored, as each image needs others: bytes do not become fewer"
    if reason := none_there(task):
        return reason
    return task.still_over(folded(cut(task.model, first(task.model, 0.0))), "one filter of each group")
