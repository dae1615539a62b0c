"""Writes into the temporary folders until they are full, in many files, and goes on as if nothing had been."""

import os
from pathlib import Path

from host import Host

ENDS = ("failed", "No space left on device")
_AMOUNT = 96 << 20


def attack(host: Host) -> None:
    for number in range(_AMOUNT >> 23):
        Path(os.environ.get("TMPDIR", host.temporary), f"{host.marker}-{number}").write_bytes(bytes(1 << 23))
    print("wrote it all")


def succeeded(host: Host, log: str) -> bool:
    return "wrote it all" in log
