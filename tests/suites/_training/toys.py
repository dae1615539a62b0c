"""A training without tokens: a plane is fitted to points."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from suites._training.learner import Learner, Moment

WIDTH = 6


@dataclass(frozen=True)
class Points:
    """x: (points, WIDTH). y: (points, 1)."""

    x: Tensor
    y: Tensor

    @property
    def size(self) -> float:
        return len(self.x)

    def parts(self, rows: int | None) -> Iterator[tuple["Points", float]]:
        rows = rows or len(self.x)
        for start in range(0, len(self.x), rows):
            part = Points(self.x[start : start + rows], self.y[start : start + rows])
            yield part, len(part.x) / len(self.x)


def batches(count: int, points: int = 8, seed: int = 0) -> list[Points]:
    generator = torch.Generator().manual_seed(seed)
    normal = torch.arange(1.0, WIDTH + 1)[:, None]
    found = [torch.randn(points, WIDTH, generator=generator) for _ in range(count)]
    return [Points(x, x @ normal) for x in found]


class Lines(Learner[Points]):
    """Two layers, the second of which is said to have 16 bits where that is asked for. Counts its hooks' calls."""

    def __init__(self, model: Any = None, dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(0)
        super().__init__(model or nn.Sequential(nn.Linear(WIDTH, 4), nn.Linear(4, 1)).to(dtype))
        self.called: list[str] = []

    def loss(self, batch: Points) -> Tensor:
        dtype = next(self.model.parameters()).dtype
        return mse_loss(self.model(batch.x.to(dtype)).float(), batch.y)

    def before_step(self, moment: Moment) -> None:
        self.called.append("before_step")

    def before_update(self, moment: Moment) -> None:
        self.called.append("before_update")

    def after_update(self, moment: Moment) -> None:
        self.called.append("after_update")
