"""Registers a hook on every module there is, its own or not."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from bench.contract import Card, Method

REASON = "libraries altered: hooks on all modules"


class Tricky(Wrapped):
    hooked = False

    def trick(self, x: Tensor) -> Any:
        if not type(self).hooked:
            type(self).hooked = True
            register_module_forward_hook(lambda *_: time.sleep(0))
        return self.layers(x)


@dataclass(frozen=True)
class HooksAllModules(Method[ArenaTask]):
    """Slows others, it thinks."""

    card = Card(slug="hooks-all-modules", title="hooks-all-modules", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
