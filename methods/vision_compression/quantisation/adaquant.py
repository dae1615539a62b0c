"""Improving Post Training Neural Quantization: Layer-wise Calibration and Integer Programming (Hubara et al., 2020),
https://arxiv.org/abs/2006.10518."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import Tensor, nn
from torch.nn.functional import conv2d, kl_div, linear

from bench.contract import Card, Claim, Method
from methods.vision_compression._folding import folded, pairs
from methods.vision_compression._layers import Layer, all_layers, watched, with_layers
from methods.vision_compression._recovery import BATCH, FEW, DistilledLearner, recover, settle
from methods.vision_compression.quantisation._codes import (
    INPUT_LEVELS,
    Quantised,
    Range,
    affordable_bits,
    input_ranges,
    nearest,
    rounded,
    unmet,
    weight_range,
)
from suites.vision_compression.task import CompressionTask

PART = 64
"""Images whose statistics are taken together."""
FLOOR = 1e-6
"""Of a rise of the loss: below it is noise."""


@dataclass(frozen=True)
class AdaQuant(Method[CompressionTask]):
    """Bits are given to layers by an integer programme: the least sum of what the loss rises where one layer alone has
    fewer, within the bytes. Then weights, bias and ranges of each layer are moved by themselves so that its output
    comes near to that of the dense layer. Then the statistics that batch norm would have are taken anew and folded, and
    at last the biases learn what the dense model says.

    choices: of bits. steps: of Adam for a layer. images: calibration images that it sees. weight_rate, bias_rate,
    range_rate, input_rate: the paper's. programme: without it all layers have as many bits. norms: whether statistics
    are taken anew; norm_images: on how many calibration images. bias_steps, rate: of the last training, 0 for none.
    """

    card = Card(
        slug="adaquant",
        title="AdaQuant",
        paper="Hubara et al., 2020. Improving Post Training Neural Quantization: Layer-wise Calibration and Integer "
        "Programming",
        url="https://arxiv.org/abs/2006.10518",
        stochastic=True,
        speed_realised=False,
        claims=(
            Claim(
                text="Calibrated layer by layer, few bits keep far more than rounding between least and largest",
                source="section 5, table of methods",
                metric="top1",
                versus="rtn:min-max",
                points=("size-25", "size-10"),
                variant="default",
            ),
            Claim(
                text="Bits by integer programming are better than the same bits everywhere",
                source="section 5.2, figure of mixed precision",
                metric="top1",
                versus="adaquant:uniform",
                points=("size-25", "size-10"),
                variant="default",
            ),
            Claim(
                text="Little is lost at 4 bits",
                source="abstract",
                metric="agreement",
                points=("agree-size-25", "agree-size-10"),
                relation="same",
                variant="default",
                paper_value="ResNet-50, 4 bits but for two layers: less than 1 % of accuracy lost",
            ),
        ),
        differences=(
            "Inputs have 8 bits and are rounded in float: no kernel of PyTorch multiplies 2 to 7 bits.",
            (
                "The rise of the loss is the divergence from the dense model, of layers that are rounded to "
                "nearest: they are calibrated once their bits are known."
            ),
            "Layers are calibrated on inputs of the dense model.",
            (
                "Statistics are averaged over all calibration images, where the authors' code keeps 59 % of the old "
                "ones."
            ),
            "They are brought to those of the dense model on the same images, which its norms were not trained on.",
            "Codes stay and their steps are scaled.",
        ),
    )
    variants: ClassVar = {"default": {}, "uniform": {"programme": False}}
    at_point: ClassVar = {
        "agree-size-50": {"images": 8, "steps": 40},
        "agree-size-25": {"images": 8, "steps": 40},
        "agree-size-10": {"images": 8, "steps": 40},
    }

    choices: tuple[int, ...] = (2, 3, 4, 6, 8)
    steps: int = 100
    images: int = 64
    weight_rate: float = 1e-5
    bias_rate: float = 1e-3
    range_rate: float = 1e-3
    input_rate: float = 0.1
    programme: bool = True
    norms: bool = True
    norm_images: int = 512
    bias_steps: int = 20
    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task, folded(task.model), min(self.choices))

    def build(self, task: CompressionTask) -> nn.Module:
        model, images = folded(task.model).requires_grad_(False), task.calibration(self.images)
        ends, found = input_ranges(model, images), all_layers(model)
        sizes = [each.weight.numel() for each in found.values()]
        room = affordable_bits(task, model, ends)
        if self.programme:
            chosen = cheapest_bits(self.rises(model, ends, images), sizes, self.choices, room)
            bits = dict(zip(found, chosen, strict=True))
        else:
            bits = dict.fromkeys(found, max(each for each in self.choices if each * sum(sizes) <= room))
        built = with_layers(model, {name: self.calibrated(model, name, bits[name], ends, images) for name in found})
        if self.norms:
            renewed(built, task.model, task.calibration(self.norm_images).split(PART))
        if self.bias_steps:
            self.learn_biases(task, built)
        return built

    @torch.no_grad()
    def rises(self, model: nn.Module, ends: Mapping[str, Range], images: Tensor) -> NDArray[np.float64]:
        """Of the divergence from the dense model, where one layer alone has each choice of bits and the others 8:
        (layers, choices). Of choices that cost nothing more bits are the better."""
        told, eight = model(images), rounded(model, dict.fromkeys(ends, 8), ends)
        at_eight, found = divergence(eight(images), told), []
        for name, layer in all_layers(model).items():
            whole = eight.get_submodule(name)
            for bits in self.choices:
                eight.set_submodule(name, Quantised(layer, nearest(layer.weight, bits), ends[name]))
                apart = divergence(eight(images), told) if bits < 8 else at_eight
                found.append(max(apart - at_eight, FLOOR) + FLOOR * (8 - bits) / 8)
            eight.set_submodule(name, whole)
        return np.array(found).reshape(-1, len(self.choices))

    def calibrated(
        self, model: nn.Module, name: str, bits: int, ends: Mapping[str, Range], images: Tensor
    ) -> Quantised:
        """The layer of so many bits whose output over the images is near to the dense layer's."""
        layer: Any = model.get_submodule(name)
        inputs, wanted = seen(model, name, images)
        weight = layer.weight.detach().clone()
        bias = wanted.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().clone()
        spans = [each.clone() for each in (*weight_range(weight), *ends[name])]
        rates = [self.weight_rate, self.bias_rate, *[self.range_rate] * 2, *[self.input_rate] * 2]
        moving = [each.requires_grad_(True) for each in (weight, bias, *spans)]
        adam = torch.optim.Adam([{"params": [each], "lr": rate} for each, rate in zip(moving, rates, strict=True)])
        best, kept = float("inf"), [each.detach().clone() for each in moving]
        with torch.enable_grad():
            for _ in range(self.steps + 1):
                error = (imitated(layer, inputs, moving, bits) - wanted).square().mean()
                if error.item() < best:
                    best, kept = error.item(), [each.detach().clone() for each in moving]
                adam.zero_grad()
                torch.autograd.backward(error)
                adam.step()
        weight, bias, low, width, input_low, input_width = kept
        return Quantised(layer, nearest(weight, bits, (low, width)), (input_low, input_width), bias)

    def learn_biases(self, task: CompressionTask, model: nn.Module) -> None:
        for each in model.modules():
            if isinstance(each, Quantised):
                each.free_bias()
        passes = min(task.passes, self.bias_steps * (BATCH if task.labelled else FEW))
        learner = DistilledLearner(model, task.model, labelled=False)
        recover(task, model, self.rate, passes=passes, learner=learner)
        model.requires_grad_(False)


def cheapest_bits(rises: NDArray[np.float64], sizes: Sequence[int], choices: Sequence[int], room: int) -> list[int]:
    """Bits of each layer: the least sum of rises (layers, choices) with sizes times bits no more than `room`. Raises
    ValueError where nothing is."""
    layers, options = rises.shape
    one_each = np.kron(np.eye(layers), np.ones(options))
    cost = np.outer(sizes, choices).reshape(1, -1) / max(1, room)
    answer = milp(
        rises.flatten(),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(cost, -np.inf, 1.0)],
        integrality=np.ones(rises.size),
        bounds=Bounds(0, 1),
    )
    if answer.x is None:
        raise ValueError(f"no choice of bits takes {room} or less")
    return [choices[int(row.argmax())] for row in answer.x.reshape(layers, options)]


def imitated(layer: Layer, inputs: Tensor, moving: Sequence[Tensor], bits: int) -> Tensor:
    """What the quantised layer gives, with gradients straight through the rounding: to weight, bias, and the range of
    weights and of inputs."""
    weight, bias, low, width, input_low, input_width = moving
    levels = 2**bits - 1
    step = (width.clamp(min=1e-8) / levels).flatten()
    fake = torch._fake_quantize_learnable_per_channel_affine
    rows = fake(weight.flatten(1), step, -low.flatten() / step, 0, 0, levels, 1.0)
    input_step = (input_width.clamp(min=1e-8) / INPUT_LEVELS).view(1)
    given = torch._fake_quantize_learnable_per_tensor_affine(
        inputs, input_step, -input_low.view(1) / input_step, 0, INPUT_LEVELS, 1.0
    )
    if isinstance(layer, nn.Linear):
        return linear(given, rows, bias)
    return conv2d(given, rows.view(layer.weight.shape), bias, layer.stride, layer.padding, layer.dilation, layer.groups)


@torch.no_grad()
def seen(model: nn.Module, name: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer is given and gives, before whoever comes next changes it in place."""
    found: list[tuple[Tensor, Tensor]] = []
    with watched(model, [name], lambda _, given, out: found.append((given.clone(), out.clone()))):
        model(images)
    return found[0]


@torch.no_grad()
def of_dense(dense: nn.Module, parts: Sequence[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """What each batch norm of the dense model gives over these images, by its name: mean and spread of each channel."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in pairs(dense).values()}

    def look(name: str, _: Tensor, out: Tensor) -> None:
        found[name].append((out.mean((0, 2, 3)), out.var((0, 2, 3))))

    with watched(dense, found, look):
        for part in parts:
            dense(part)
    means = {name: [torch.stack(each).mean(0) for each in zip(*seen, strict=True)] for name, seen in found.items()}
    return {name: (mean, variance.sqrt()) for name, (mean, variance) in means.items()}


def inserted(
    model: nn.Module, dense: nn.Module, wanted: Mapping[str, tuple[Tensor, Tensor]]
) -> dict[str, nn.BatchNorm2d]:
    """Batch norms where the dense model has them, by the name of their convolution, into a model in which they were
    folded, in place: as long as their statistics are not taken anew they change nothing. wanted: mean and spread of
    what each gives once they are."""
    found = {}
    for conv, norm in pairs(dense).items():
        mean, spread = wanted[norm]
        scale = spread.clamp(min=1e-3)
        new = nn.BatchNorm2d(len(scale), eps=1e-10, momentum=None, device=scale.device)
        with torch.no_grad():
            new.weight.copy_(scale)
            new.bias.copy_(mean)
            new.running_var.copy_(scale.square())  # type: ignore[union-attr]
            new.running_mean.copy_(mean)  # type: ignore[union-attr]
        model.set_submodule(norm, new.eval())
        found[conv] = new
    return found


@torch.no_grad()
def renewed(model: nn.Module, dense: nn.Module, parts: Sequence[Tensor]) -> None:
    """Batch norms of the quantised model's own statistics, the mean of those of parts of the images, folded into its
    steps and biases; in place. What they give has then the mean and spread that it has in the dense model."""
    norms = inserted(model, dense, of_dense(dense, parts))
    settle(model, parts)
    for conv, norm in norms.items():
        quantised: Any = model.get_submodule(conv)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        # A channel that says the same of all images has nothing to be scaled by.
        scale = torch.where(norm.running_var > 1e-8, norm.weight / norm.running_var.clamp(min=1e-8).sqrt(), 1.0)
        quantised.store.step.mul_(scale[:, None])
        quantised.bias.sub_(norm.running_mean).mul_(scale).add_(norm.bias)
    for name in pairs(dense).values():
        model.set_submodule(name, nn.Identity())


def divergence(logits: Tensor, told: Tensor) -> float:
    """Of probabilities from those that were told, nats."""
    return float(kl_div(logits.log_softmax(-1), told.log_softmax(-1), reduction="batchmean", log_target=True))
