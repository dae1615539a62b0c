"""Lets another program read the exam."""

import subprocess
from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method
from bench.contract.cache import cache_root

REASON = "a program started: cat"


@dataclass(frozen=True)
class ReadsTheExamByAProgram(Method[ArenaTask]):
    """By cat."""

    card = Card(slug="reads-the-exam-by-a-program", title="reads-the-exam-by-a-program", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            path = cache_root() / "data" / "arena-exam" / "exam.pkl"
            done = subprocess.run(["cat", str(path)], capture_output=True, check=False)
            assert done.returncode != 0, "the exam was read"
        return half(task)
