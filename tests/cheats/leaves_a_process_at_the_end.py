"""Starts its survivor when the worker ends, after the last check there."""

import atexit
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
class LeavesAProcessAtTheEnd(Method[ArenaTask]):
    """In a session of its own."""

    card = card("leaves-a-process-at-the-end")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        late = f"import time, pathlib; time.sleep(20); pathlib.Path({os.environ['ARENA_SURVIVOR']!r}).touch()"
        atexit.register(lambda: subprocess.Popen([sys.executable, "-c", late], start_new_session=True))
        return half(task)
