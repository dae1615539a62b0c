"""A process that nothing marks starts when the run is over, and works on."""

import atexit
import subprocess
import sys

from host import Host
from processes import running

ENDS = ("failed", "process left behind")


def attack(host: Host) -> None:
    atexit.register(
        subprocess.Popen,
        [sys.executable, "-c", "import time; time.sleep(60)", host.marker],
        start_new_session=True, env={}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def succeeded(host: Host, log: str) -> bool:
    return bool(running(host.marker))
