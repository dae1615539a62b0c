"""Leaves a file in the temporary folders, for a later run to find."""

from contextlib import suppress
from pathlib import Path

from host import Host

ENDS = ("ok", None)


def attack(host: Host) -> None:
    for folder in (host.temporary, "/tmp", "/dev/shm", "/var/tmp"):
        with suppress(OSError):
            Path(folder, host.marker).write_text("remember me")


def succeeded(host: Host, log: str) -> bool:
    return any(Path(folder, host.marker).exists() for folder in (host.temporary, "/tmp", "/dev/shm", "/var/tmp"))
