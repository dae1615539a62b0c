"""Puts links to a file of the machine where an outcome may be looked for, and leaves without one of its own."""

import os
from contextlib import suppress
from pathlib import Path

from host import SECRET, Host

ENDS = ("failed", "ended with exit code 0")


def attack(host: Host) -> None:
    for folder in {os.environ.get("TMPDIR", host.temporary), "/tmp", "."}:
        for name in ("outcome.json", "outcome.json.part", "log.txt", "job.json"):
            with suppress(OSError):
                path = Path(folder, f"{host.marker}-{name}" if folder == host.temporary else name)
                path.symlink_to(host.secret)
                print(path.read_text(), flush=True)
                path.unlink()
    os._exit(0)


def succeeded(host: Host, log: str) -> bool:
    return SECRET in log
