"""Opens the file of the exam in the server."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method
from bench.contract.cache import cache_root

REASON = "the exam read: tried to open"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        with suppress(OSError):
            (cache_root() / "data" / "arena-exam" / "exam.pkl").read_bytes()
        return self.layers(x)


@dataclass(frozen=True)
class OpensTheExamWhileServed(Method[ArenaTask]):
    """When it is first asked."""

    card = Card(slug="opens-the-exam-while-served", title="opens-the-exam-while-served", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
