"""Rule: a method writes no file among the results. Seen by Python's audit events, in this process."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.run.integrity import RuleBroken

RULE = "results touched"

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATH_EVENTS = {"os.remove", "os.rename", "os.truncate", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.symlink"}
_protected: tuple[str, ...] = ()
_refused: list[str] = []


def protect(folders: Sequence[Path]) -> None:
    """From now on, and for the rest of the process, writing under these folders raises PermissionError."""
    global _protected  # noqa: PLW0603  # a hook cannot be taken back, so there is one for all runs of a process
    first = not _protected
    _protected = tuple(os.path.realpath(folder) + os.sep for folder in folders)
    _refused.clear()
    if first and folders:
        sys.addaudithook(_hook)


def check_untouched() -> None:
    """Raise RuleBroken if somebody tried to write there, also if the exception was swallowed."""
    if _refused:
        raise RuleBroken(RULE, f"tried to write {_refused[0]}")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & _WRITING):
            _refuse(path)
    elif event in _PATH_EVENTS:
        for path in arguments[:2]:
            _refuse(path)


def _refuse(path: Any) -> None:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    real = os.path.realpath(os.fsdecode(path))
    if real.startswith(_protected) or real + os.sep in _protected:
        _refused.append(real)
        raise PermissionError(f"{real} belongs to the results: a method does not write there")
