"""One file of more than a file may have, in memory that belongs to no process."""

import os

from host import Host

ENDS = ("failed", "File too large")
_AMOUNT = 32 << 20


def attack(host: Host) -> None:
    file = os.memfd_create("large")
    for _ in range(_AMOUNT >> 20):
        os.write(file, bytes(1 << 20))
    print("wrote it all")


def succeeded(host: Host, log: str) -> bool:
    return "wrote it all" in log
