"""All nets of a space in one: each is a part of the largest, by the first rows and columns of its weights."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from methods.image_classification.architecture_search._space import Shape, Space
from suites._training.learner import Moment
from suites._vision.learning import ImageBatch, ImageLearner

WARM_UP = 0.25
"""Part of the training in which the options open, from the largest net on: the paper's 30 epochs of 120."""

Make = Callable[[Shape], nn.Module]


def part_of(largest: nn.Module, small: nn.Module) -> Mapping[str, Tensor]:
    """The weights that the net `small` has in the largest, by name. Where they are changed, it is too.

    What is left out is as if it were masked: it changes nothing and gets no gradient.
    """
    weights = dict(largest.named_parameters())
    return {name: _first(weights[name], each.shape, "qkv" in name) for name, each in small.named_parameters()}


def _first(weight: Tensor, shape: torch.Size, in_thirds: bool) -> Tensor:
    """The first rows, columns... in_thirds: of queries, of keys and of values each, which stand one below the other."""
    if in_thirds:
        rows = tuple(slice(each) for each in (shape[0] // 3, *shape[1:]))
        return weight.unflatten(0, (3, -1))[:, *rows].flatten(0, 1)
    return weight[tuple(slice(each) for each in shape)]


class SuperLearner(ImageLearner):
    """Trains the largest net by its parts: each step takes several nets, each a share of the batch, in one backward.

    make: a net of a shape. nets: of a step.
    """

    def __init__(self, space: Space, make: Make, nets: int, rng: np.random.Generator) -> None:
        super().__init__(make(space.largest))
        self.space, self.make, self.nets, self.rng = space, make, nets, rng
        self.opened = 0.0

    def before_step(self, moment: Moment) -> None:
        self.opened = moment.done / WARM_UP

    def loss(self, batch: ImageBatch) -> Tensor:
        shapes = self.space.samples(self.nets, self.opened, self.rng)
        parts = zip(batch.inputs.chunk(self.nets), batch.labels.chunk(self.nets), shapes, strict=False)
        losses = [cross_entropy(self.part(shape)(inputs), labels, reduction="sum") for inputs, labels, shape in parts]
        return torch.stack(losses).sum() / len(batch.labels)

    def part(self, shape: Shape) -> Callable[[Tensor], Tensor]:
        """A net with the weights that it shares. Batch norms of its stem take the statistics of each batch, also where
        it is asked for its loss: a net that was not trained by itself has none of its own."""
        small = self.make(shape)
        return partial(functional_call, small, dict(part_of(self.model, small)))
