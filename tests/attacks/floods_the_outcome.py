"""Writes without end into every pipe that it finds open."""

import os
import stat
from contextlib import suppress

from host import Host

ENDS = ("failed", "MiB of output")
HARMLESS = False  # there is no such pipe outside of a run


def attack(host: Host) -> None:
    for descriptor in range(3, 64):
        with suppress(OSError):
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                while True:
                    os.write(descriptor, b"x" * (1 << 20))


def succeeded(host: Host, log: str) -> bool:
    return False
