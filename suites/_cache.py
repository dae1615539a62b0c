"""The cache folder: what is dear to make is made once, by whichever process comes first."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_folder() -> Path:
    """The folder named by EFFBENCH_CACHE, else ~/.cache/effbench; the suite's own part of it."""
    root = os.environ.get("EFFBENCH_CACHE") or Path.home() / ".cache" / "effbench"
    return Path(root).expanduser() / "lm-compression"


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Path of the folder `name` in the cache; `make(folder)` fills it if it is not there yet.

    The folder is filled under a temporary name and renamed when complete, so a folder that exists is whole. Of two
    processes that race, the first rename wins and the other's work is thrown away. A failed `make` leaves nothing.
    """
    target = cache_folder() / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        make(draft)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target
