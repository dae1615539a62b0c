"""Which run is being done by whom: several runners in one folder of results share the work."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = ".claims"


@contextmanager
def claimed(results: Path, key: str) -> Iterator[bool]:
    """Whether the run of this key is ours as long as the context lasts. The claim goes with the process, however that
    ends; where the file system knows no locks, everybody has every claim."""
    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / key
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        mine = _locked(handle) and _is_still(path, handle)
        yield mine
        if mine:
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(handle)
        with suppress(OSError):
            folder.rmdir()


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_still(path: Path, handle: int) -> bool:
    """Whether the file that we locked is the one that others see: it may have been given up while we waited."""
    with suppress(OSError):
        return path.stat().st_ino == os.fstat(handle).st_ino
    return False
