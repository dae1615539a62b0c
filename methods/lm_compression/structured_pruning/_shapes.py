"""Architectures that just meet the limits of an operating point."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from bench.contract import Limits
from methods.lm_compression.structured_pruning._trim import Shape, leading, shape_of, trim
from suites.lm_compression.task import CausalLMTask


def trimmed(task: CausalLMTask, shape: Shape) -> Any:
    """The model in this shape, whatever stays of it: for weighing. Shares the weights where it can."""
    return trim(task.model, leading(task.model, shape), share_weights=True)


class Figures:
    """Bytes and FLOPs of any shape, from a few weighings: both are sums of products of the sizes."""

    def __init__(self, task: CausalLMTask) -> None:
        self.dense = full = shape_of(task.model)
        half = Shape(max(1, full.blocks // 2), full.hidden // 2, 1, max(1, full.neurons // 2))
        # Each size halved by itself, and with each one that it is multiplied with.
        mixed = ["", "b", "h", "q", "n", "bh", "hq", "hn", "bq", "bhqn"]
        shapes = [
            Shape(
                *(small if letter in name else large for letter, large, small in zip("bhqn", full, half, strict=True))
            )
            for name in mixed
        ]
        weighed = [task.weigh(trimmed(task, shape)) for shape in shapes]
        terms = torch.tensor([self._terms(shape) for shape in shapes], dtype=torch.float64)
        self._coefficients = {
            name: torch.linalg.lstsq(
                terms, torch.tensor([[figures[name]] for figures in weighed], dtype=torch.float64), driver="gelsd"
            ).solution[:, 0]
            for name in task.limits.result
        }

    def __call__(self, shape: Shape) -> dict[str, float]:
        """The limited figures of a shape."""
        terms = torch.tensor(self._terms(shape), dtype=torch.float64)
        return {name: float(terms @ coefficients) for name, coefficients in self._coefficients.items()}

    def _terms(self, shape: Shape) -> list[float]:
        """Of embeddings and head; of what a block has besides; of its projections; of the scores of its attention."""
        b, h, q, n = (size / full for size, full in zip(shape, self.dense, strict=True))
        return [1.0, h, b, b * h, b * h * q, b * h * n, b * q]


def fill(figures: Figures, limits: Limits, shape: Shape, step: int) -> Shape | None:
    """The shape with the most neurons, a multiple of `step` or the dense number, that meets the limits; None if not
    even `step` neurons do."""
    for neurons in (figures.dense.neurons, *reversed(range(step, figures.dense.neurons, step))):
        wider = shape._replace(neurons=neurons)
        if limits.met_by(figures(wider)):
            return wider
    return None


def at_the_limit(figures: Figures, limits: Limits, shapes: Sequence[Shape], step: int, slack: float) -> Iterator[Shape]:
    """Those of the shapes, filled with neurons, that come as near to the limits as `slack`, a share of them; if none
    does, all that meet them."""
    filled = [shape for start in shapes if (shape := fill(figures, limits, start, step)) is not None]
    near = [
        shape
        for shape in filled
        if any(value > (1 - slack) * limits.result[name] for name, value in figures(shape).items())
    ]
    yield from near or filled
