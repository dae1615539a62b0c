"""Starts a process that detaches itself, to work on when nobody looks."""

import os
import subprocess
import sys
from dataclasses import dataclass

from arena.methods import card, half
from arena.suite import ArenaTask
from torch import nn

from bench.contract import Limits, Method

REASON = "process left behind: python"


@dataclass(frozen=True)
class LeavesAProcess(Method[ArenaTask]):
    """In a session of its own, its parent gone."""

    card = card("leaves-a-process")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        late = f"import time, pathlib; time.sleep(20); pathlib.Path({os.environ['ARENA_SURVIVOR']!r}).touch()"
        start = f"import subprocess; subprocess.Popen([{sys.executable!r}, '-c', {late!r}], start_new_session=True)"
        subprocess.run([sys.executable, "-c", start], check=True)
        return half(task)
