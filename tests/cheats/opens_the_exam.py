"""Opens the file of the exam, and swallows the refusal."""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method
from bench.contract.cache import cache_root

REASON = "the exam read: tried to open"


@dataclass(frozen=True)
class OpensTheExam(Method[ArenaTask]):
    """By its path in the cache."""

    card = Card(slug="opens-the-exam", title="opens-the-exam", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            with suppress(OSError):
                (cache_root() / "data" / "arena-exam" / "exam.pkl").read_bytes()
        return half(task)
