"""Kills a process of the same user. One alone: were there a hole, the machine should live on."""

import os
import signal
from contextlib import suppress

import psutil
from host import Host

ENDS = ("ok", None)


def attack(host: Host) -> None:
    with suppress(OSError):
        os.kill(host.victim, signal.SIGKILL)


def succeeded(host: Host, log: str) -> bool:
    return psutil.Process(host.victim).status() == psutil.STATUS_ZOMBIE
