"""Adds a record of its own, by a program of the system: no audit event of Python tells of it."""

import subprocess
from pathlib import Path

from host import Host

ENDS = ("failed", "a program started")


def attack(host: Host) -> None:
    subprocess.run(["/bin/sh", "-c", f"echo '{{}}' > {host.results}/forged.jsonl"], check=False)


def succeeded(host: Host, log: str) -> bool:
    return Path(host.results, "forged.jsonl").exists()
