"""Returns a tensor that computes itself when somebody looks."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "work not done when the step returned: a step gives plain tensors"


class Later(Tensor):
    """Empty until a function of PyTorch is called on it."""

    work: Any = None

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        ready = [arg.work() if isinstance(arg, Later) and arg.work else arg for arg in args]
        return func(*ready, **(kwargs or {}))


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        if len(x) == 1:
            return self.layers(x)
        later = torch.Tensor._make_subclass(Later, torch.empty(0))
        later.work = lambda: self.layers(x)
        return later


@dataclass(frozen=True)
class ReturnsLazyWork(Method[ArenaTask]):
    """A subclass of Tensor that holds the work back."""

    card = Card(slug="returns-lazy-work", title="returns-lazy-work", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
