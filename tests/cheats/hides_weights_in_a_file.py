"""Keeps half of the layers in a file, wherever one can be written."""

import copy
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "RuntimeError: they are gone"


class Tricky(Wrapped):
    places: tuple[str, ...] = ()

    def trick(self, x: Tensor) -> Any:
        for place in self.places:
            with suppress(OSError):
                return torch.load(place, weights_only=False)(self.layers(x))
        raise RuntimeError("they are gone")


@dataclass(frozen=True)
class HidesWeightsInAFile(Method[ArenaTask]):
    """Where it may write."""

    card = Card(slug="hides-weights-in-a-file", title="hides-weights-in-a-file", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        candidate = Tricky(task, self.cheats)
        if self.cheats:
            folders = (Path.cwd(), Path.cwd().parent, Path.cwd().parent / "artefact", Path("/dev/shm"), Path("/tmp"))
            candidate.places = tuple(str(folder / "layers.pt") for folder in folders)
            for place in candidate.places:
                with suppress(OSError, RuntimeError):
                    torch.save(copy.deepcopy(task.base[4:]), place)
        return candidate
