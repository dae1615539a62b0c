"""Does all layers in NumPy, where no operator is counted."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "not weighed: flops_ratio is limited, and no count is known of Tensor.__array__"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        rows = x.numpy()
        for layer in [*self.layers, *self.layers]:
            rows = rows @ np.asarray(layer.weight).T + np.asarray(layer.bias)
        return torch.from_numpy(rows)


@dataclass(frozen=True)
class MultipliesInNumpy(Method[ArenaTask]):
    """Six of eight layers are outside."""

    card = Card(slug="multiplies-in-numpy", title="multiplies-in-numpy", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
