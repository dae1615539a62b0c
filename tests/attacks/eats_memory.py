"""Several processes, none of which has more memory than one may have."""

import os
import time

from host import Host

ENDS = ("out_of_memory", "GiB of memory")
_EACH, _PROCESSES, _SECONDS = 400 << 20, 4, 20
_KEPT = 5
"""Seconds after which memory counts as had: what all processes hold is looked at from time to time."""


def attack(host: Host) -> None:
    for _ in range(_PROCESSES):
        reading, writing = os.pipe()
        if os.fork() == 0:
            held = bytearray(b"x") * _EACH
            os.write(writing, b"x" * bool(held))
            time.sleep(_SECONDS)
            os._exit(0)
        os.close(writing)
        os.read(reading, 1)
    time.sleep(_KEPT)
    print("has it all", flush=True)


def succeeded(host: Host, log: str) -> bool:
    return "has it all" in log
