"""Keeps all layers in a string, beside those that count."""

import base64
import pickle
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "stored_ratio: "
STATUS = "over_budget"


class Tricky(Wrapped):
    text: str = ""

    def trick(self, x: Tensor) -> Any:
        return pickle.loads(base64.b64decode(self.text))(x)


@dataclass(frozen=True)
class HidesWeightsInAString(Method[ArenaTask]):
    """Text weighs nothing, it thinks."""

    card = Card(slug="hides-weights-in-a-string", title="hides-weights-in-a-string", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        candidate = Tricky(task, self.cheats)
        if self.cheats:
            candidate.text = base64.b64encode(pickle.dumps(task.base)).decode()
        return candidate
