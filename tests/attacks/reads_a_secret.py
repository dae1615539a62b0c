"""Reads a file of another user, and all that lies in the home folder."""

import os
from contextlib import suppress
from pathlib import Path

from host import SECRET, Host

ENDS = ("ok", None)


def attack(host: Host) -> None:
    with suppress(OSError):
        print(Path(host.secret).read_text())
    for folder in {Path(host.secret).parent, Path.home(), Path(f"/proc/{os.getppid()}/root{Path.home()}")}:
        with suppress(OSError):
            for path in folder.iterdir():
                print(path.read_text(errors="replace")[:1000] if path.is_file() else "")


def succeeded(host: Host, log: str) -> bool:
    return SECRET in log
