"""More processes than a run may have; a real bomb has no end."""

import os
import time
from contextlib import suppress

from host import Host

ENDS = ("failed", "processes and threads")
_PROCESSES, _SECONDS = 600, 60


def attack(host: Host) -> None:
    with suppress(BlockingIOError):
        for _ in range(_PROCESSES):
            if os.fork() == 0:
                time.sleep(_SECONDS)
                os._exit(0)
        print("has them all", flush=True)
    time.sleep(_SECONDS)


def succeeded(host: Host, log: str) -> bool:
    return "has them all" in log


HARMLESS = False  # whether 600 processes are harmless depends on who else is there
