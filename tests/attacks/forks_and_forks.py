"""More processes than a run may have; a real bomb has no end."""

import os
import time
from contextlib import suppress

from host import Host

ENDS = ("failed", "processes and threads")
_PROCESSES = 600


def attack(host: Host) -> None:
    with suppress(BlockingIOError):
        for _ in range(_PROCESSES):
            if os.fork() == 0:
                time.sleep(10)
                os._exit(0)
        print("has them all", flush=True)
    time.sleep(10)


def succeeded(host: Host, log: str) -> bool:
    return "has them all" in log and host.marker in log


HARMLESS = False  # whether 600 processes are harmless depends on who else is there
