"""Prints without end."""

import os

from host import Host

ENDS = ("failed", "MiB of output")
_AMOUNT = 64 << 20


def attack(host: Host) -> None:
    for _ in range(_AMOUNT >> 20):
        left = b"x" * (1 << 20)
        while left:
            left = left[os.write(1, left) :]
    print("printed it all")


def succeeded(host: Host, log: str) -> bool:
    return "printed it all" in log
