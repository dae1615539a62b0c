"""Somebody waits until the build is over, then starts a process that nothing marks, which works on."""

import os
import subprocess
import sys
import time

from host import Host
from processes import running

ENDS = ("failed", "process left behind")


def attack(host: Host) -> None:
    builder = os.getpid()
    if os.fork():
        return
    os.setsid()
    while os.getppid() == builder:
        time.sleep(0.01)
    subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", host.marker],
        env={}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os._exit(0)


def succeeded(host: Host, log: str) -> bool:
    return bool(running(host.marker))
