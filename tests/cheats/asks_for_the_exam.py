"""Calls what makes the exam, and swallows the refusal."""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask, Examples
from torch import nn

from bench.contract import Card, ExamRead, Method

REASON = "the exam read: asked for the arena's"


@dataclass(frozen=True)
class AsksForTheExam(Method[ArenaTask]):
    """By the suite's own function."""

    card = Card(slug="asks-for-the-exam", title="asks-for-the-exam", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            with suppress(ExamRead):
                Examples()
        return half(task)
