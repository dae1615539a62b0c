"""The cache folder: what is dear to make is made once, by whichever process comes first, and believed while it is
whole.

`models` holds what a method may start from (base models, tokenizers), `data` what the judge alone reads (texts, images,
the exam). A process that runs a method's code can read the first and not the second, and write neither.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

Kind = Literal["models", "data", "baselines"]

MANIFEST = "manifest.json"
"""Of each file its digest, and what the system says of it that changes whenever somebody writes to it."""

MADE_AGAIN = "is not as it was made: it is made again"

_in_use: dict[Path, int] = {}
"""Folders that this process has looked at, with what it holds of them until it ends: see `_take`."""


_LOOKS, _BETWEEN_LOOKS = 50, 0.1


class CacheAltered(RuntimeError):
    """What lies in the cache is not what was made, and can't be made again; the message says where."""


class CacheNotWritable(RuntimeError):
    """Nothing can be kept in the cache; said before any work is done, with the variable that names another."""


def cache_root() -> Path:
    """The folder named by EFFBENCH_CACHE, else ~/.cache/effbench. Raises CacheNotWritable where there is no home."""
    try:
        return Path(os.environ.get("EFFBENCH_CACHE") or Path.home() / ".cache" / "effbench").expanduser().absolute()
    except RuntimeError as error:
        raise CacheNotWritable("there is no home folder to keep a cache in: name a folder by EFFBENCH_CACHE") from error


def check_cache() -> None:
    """Raise CacheNotWritable if nothing can be kept."""
    folder = cache_root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CacheNotWritable(
            f"the cache {folder} can't be written ({error.strerror}): name another folder by EFFBENCH_CACHE"
        ) from error


def made_once(kind: Kind, name: str, make: Callable[[Path], None]) -> Path:
    """Path of the folder `name` in the cache; `make(folder)` fills it where it is not there yet, or no longer as it
    was.

    The folder is filled under a temporary name and renamed when complete. Of two processes that race, the first rename
    wins and the other's work is thrown away. A failed `make` leaves nothing. Raises CacheAltered where what was altered
    can't be put away.
    """
    target = cache_root() / kind / name
    if target.is_dir():
        if is_whole(target):
            return _take(target)
        print(f"{target} {MADE_AGAIN}", file=sys.stderr, flush=True)
        _put_away(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        make(draft)
        _write_manifest(draft)
        draft.chmod(0o755)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            if not is_whole(target):
                raise CacheAltered(f"{target} is not as it was made, and can't be replaced: delete it") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return _take(target)


def known(kind: Kind, name: str) -> Path | None:
    """The folder, where it is there and whole."""
    target = cache_root() / kind / name
    return _take(target) if target.is_dir() and is_whole(target) else None


def is_whole(folder: Path) -> bool:
    """Whether the files are those that were made. Those that nobody has written to since need not be read for it; a
    folder that was not made is a library's own, which keeps there what it makes of the files (see `added`)."""
    try:
        entries = json.loads((folder / MANIFEST).read_text())
        folders = {name.partition("/")[0] for name in entries if "/" in name}
        present = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
        present = {name: path for name, path in present.items() if "/" not in name or name.partition("/")[0] in folders}
        return entries.keys() == present.keys() and all(
            entries[name][:2] == _state(path) or entries[name][2] == _digest(path) for name, path in present.items()
        )
    except (OSError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        return False


def added(folder: Path) -> list[Path]:
    """What lies in a whole folder that was not made, and that nobody can vouch for: folders and links at its top."""
    entries = json.loads((folder / MANIFEST).read_text())
    made = {MANIFEST, *(name.partition("/")[0] for name in entries)}
    return [path for path in sorted(folder.iterdir()) if path.name not in made or path.is_symlink()]


def _take(folder: Path) -> Path:
    """The whole folder, without what a library, or somebody else, has put there: the library makes it again, of files
    that were looked at. Where another process is at work with it, that one has done so."""
    if folder in _in_use and _is_same(_in_use[folder], folder / MANIFEST):
        return folder
    handle = os.open(folder / MANIFEST, os.O_RDONLY)
    alone = True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        alone = False
    except OSError:  # a file system without locks
        pass
    if alone:
        for path in added(folder):
            _remove(path)
    _share(handle)
    if folder in _in_use:
        os.close(_in_use[folder])
    _in_use[folder] = handle
    return folder


def _share(handle: int) -> None:
    """Say that we are at work with it. Whoever clears it up is done in a moment; nobody waits for long."""
    for _ in range(_LOOKS):
        try:
            return fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_LOOKS)
        except OSError:
            return None
    return None


def _is_same(handle: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


def _remove(path: Path) -> None:
    """What can't be removed can't have been put there by anybody who runs with our rights."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def _write_manifest(folder: Path) -> None:
    entries = {path.relative_to(folder).as_posix(): [*_state(path), _digest(path)] for path in _files(folder)}
    (folder / MANIFEST).write_text(json.dumps(entries))


def _state(path: Path) -> list[int]:
    """Size, and when the file was last changed by anybody: a time that no process can set."""
    found = path.stat()
    return [found.st_size, found.st_ctime_ns]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put_away(folder: Path) -> None:
    """Out of the way first, so that whoever reads it now is left alone."""
    away = Path(tempfile.mkdtemp(prefix=f".{folder.name}-broken-", dir=folder.parent))
    try:
        folder.rename(away / "was")
    except OSError:
        return  # somebody else was quicker
    finally:
        shutil.rmtree(away, ignore_errors=True)
