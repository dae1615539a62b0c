"""Starts a process in a session of its own, its parent gone and its mark washed off, and waits for the timeout."""

import os
import subprocess
import sys
import time

from host import Host
from processes import running

ENDS = ("timeout", "stopped after")


def attack(host: Host) -> None:
    if os.fork() == 0:
        os.setsid()
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)", host.marker],
            start_new_session=True, env={}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os._exit(0)
    os.wait()
    time.sleep(60)


def succeeded(host: Host, log: str) -> bool:
    return bool(running(host.marker))
