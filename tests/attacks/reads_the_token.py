"""Prints the environment, its own and that of its parents."""

import os
from contextlib import suppress
from pathlib import Path

from host import SECRET, Host

ENDS = ("ok", None)


def attack(host: Host) -> None:
    print(dict(os.environ))
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            print(path.read_bytes())


def succeeded(host: Host, log: str) -> bool:
    return SECRET in log
