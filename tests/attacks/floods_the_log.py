"""Prints without end."""

import os
import time

from host import Host

ENDS = ("failed", "MiB of output")
_AMOUNT, _EACH_SECONDS = 64 << 20, 0.03
"""Slow enough that somebody can look in between."""


def attack(host: Host) -> None:
    for _ in range(_AMOUNT >> 20):
        left = b"x" * (1 << 20)
        while left:
            left = left[os.write(1, left) :]
        time.sleep(_EACH_SECONDS)
    print("printed it all")


def succeeded(host: Host, log: str) -> bool:
    return "printed it all" in log
