"""Vision Mamba (Zhu et al., 2024): tokens of an image are read in both directions, by two selective scans a layer."""

from collections.abc import Sequence
from math import ceil, log

import torch
from timm.layers.drop import DropPath
from timm.layers.weight_init import trunc_normal_
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from bench.contract import Built
from methods.image_classification._training import fit, widest
from methods.image_classification.state_space._scan import selective_scan
from suites._vision.learning import ImageLearner
from suites._vision.models import PATCH, stem
from suites.image_classification.task import ClassificationTask

LAYERS = 4
STATES = 2
NARROWEST, STEP = 8, 4
CLIP = 3.0

Rates = Sequence[float]
"""A probability of each layer."""


class Direction(nn.Module):
    """Tokens (n, tokens, channels), each of which knows those before it."""

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        self.sizes = [rank, STATES, STATES]
        self.near = nn.Conv1d(channels, channels, 4, padding=3, groups=channels)
        self.select = nn.Linear(channels, sum(self.sizes), bias=False)
        self.step = nn.Linear(rank, channels)
        # Steps between 0.001 and 0.1 at the start, as Mamba has them.
        steps = torch.exp(torch.rand(channels) * log(100) + log(1e-3))
        self.step.bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))
        # Flat, as what has one dimension does not decay.
        self.rates = nn.Parameter(torch.arange(1.0, STATES + 1).log().repeat_interleave(channels))
        self.skip = nn.Parameter(torch.ones(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        near = silu(self.near(inputs.transpose(1, 2))[..., : inputs.shape[1]])
        inputs = near.permute(2, 0, 1).contiguous()
        steps, into, out_of = self.select(inputs).split(self.sizes, dim=-1)
        rates = -self.rates.exp().view(STATES, -1)
        found = selective_scan(inputs, softplus(self.step(steps)), rates, into, out_of)
        return (found + self.skip * inputs).transpose(0, 1)


class Mixer(nn.Module):
    """The mean of both directions, gated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, 4 * width, bias=False)
        self.forwards, self.backwards = (Direction(2 * width, ceil(width / 16)) for _ in range(2))
        self.leave = nn.Linear(2 * width, width, bias=False)
        with torch.no_grad():
            self.leave.weight /= LAYERS**0.5

    def forward(self, inputs: Tensor) -> Tensor:
        read, gate = self.enter(inputs).chunk(2, dim=-1)
        both = self.forwards(read) + self.backwards(read.flip(1)).flip(1)
        out: Tensor = self.leave(both / 2 * silu(gate))
        return out


class Block(nn.Module):
    """Adds what the block before it has found to the residual, and finds what is to be added next."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.drop_path = DropPath(drop_path)
        self.norm = nn.LayerNorm(width)
        self.mixer = Mixer(width)

    def forward(self, found: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        residual = residual + found
        return self.drop_path(self.mixer(self.norm(residual))), residual


class VisionMamba(nn.Module):
    """Tokens of 4 x 4 pixels, made by the stem of the suite's ViT; their mean is classified. shuffle: of each layer,
    how often it gets its tokens in a random order while the model trains."""

    def __init__(self, classes: int, width: int, size: int, shuffle: Rates, drop_path: Rates) -> None:
        super().__init__()
        self.shuffle = tuple(shuffle)
        self.stem = stem(width)
        self.position = nn.Parameter(trunc_normal_(torch.empty(1, (size // PATCH) ** 2, width), std=0.02))
        self.blocks = nn.ModuleList(Block(width, rate) for rate in drop_path)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.stem(inputs).flatten(2).transpose(1, 2)
        found, residual = tokens + self.position, torch.zeros_like(tokens)
        for block, probability in zip(self.blocks, self.shuffle, strict=True):
            if self.training and probability > 0 and float(torch.rand(())) < probability:
                found, residual = in_random_order(block, found, residual)
            else:
                found, residual = block(found, residual)
        out: Tensor = self.head(self.norm(found + residual).mean(1))
        return out


def in_random_order(block: nn.Module, found: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """What the block gives for the tokens of both streams in one random order, the same for all images of the batch,
    in the order that they came in."""
    order = torch.randperm(found.shape[1], device=found.device)
    back = order.argsort()
    found, residual = block(found[:, order], residual[:, order])
    return found[:, back], residual[:, back]


def rising(most: float) -> Rates:
    """From zero at the first layer to `most` at the last, linearly."""
    return tuple(most * layer / (LAYERS - 1) for layer in range(LAYERS))


def too_large(task: ClassificationTask) -> str | None:
    """Why not even the narrowest meets the limits, or None."""
    return task.still_over(_model(task, NARROWEST, rising(0), rising(0)), f"tokens of {NARROWEST} numbers")


def train_widest(
    task: ClassificationTask, shuffle: Rates, drop_path: Rates, width: int, rate: float, weight_decay: float
) -> Built:
    """The widest that the limits leave, at most of `width`."""
    widths = range(NARROWEST, width + 1, STEP)
    found = widest(task, lambda each: _model(task, each, shuffle, drop_path), widths)
    assert found is not None
    return fit(task, lambda: ImageLearner(_model(task, found, shuffle, drop_path), weight_decay), rate, clip=CLIP)


def _model(task: ClassificationTask, width: int, shuffle: Rates, drop_path: Rates) -> VisionMamba:
    return VisionMamba(task.classes, width, task.size, shuffle, drop_path)
