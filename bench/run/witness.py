"""Tells the judge what a method's code tried, also where it swallows the refusal: Python's audit events, which nobody
can take back. What the fence refuses has no effect; what is told here ends the run.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.contract.exam import EXAM_EVENT
from bench.run.channel import Channel
from bench.run.rules import EXAM_READ, PROGRAM_STARTED, RESULTS_TOUCHED

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {"os.remove", "os.rename", "os.truncate", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.symlink"}
_STARTING = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"}

COMPILERS = frozenset(
    (
        "c++",
        "cc",
        "clang",
        "clang++",
        "cicc",
        "fatbinary",
        "g++",
        "gcc",
        "ld",
        "ldconfig",
        "lscpu",
        "nvcc",
        "ptxas",
        "uname",
    )
)
"""Programs that libraries start to make a kernel."""


def bear_witness(channel: Channel, hidden: Iterable[Path], own: Iterable[Path], results: Iterable[Path]) -> None:
    """From now on, to the end of the process. hidden: files and folders that hold the exam, or what is another party's;
    own: what of them it may open; results: where records are."""
    out_of_reach, its_own, protected = (_folders(paths) for paths in (hidden, own, results))
    told: set[str] = set()

    def tell(rule: str, what: str) -> None:
        if rule not in told:  # a message that nobody waits for: once is enough
            told.add(rule)
            channel.send({"broken": [rule, what]})

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            real = _real(path)
            if real.startswith(out_of_reach) and not real.startswith(its_own):
                tell(EXAM_READ, f"tried to open {real.rstrip(os.sep)}")
            elif real.startswith(protected) and _writes(mode, flags):
                tell(RESULTS_TOUCHED, f"tried to write {real.rstrip(os.sep)}")
        elif event in _CHANGING:
            for path in arguments[:2]:
                if _real(path).startswith(protected):
                    tell(RESULTS_TOUCHED, f"tried to change {_real(path).rstrip(os.sep)}")
        elif event in _STARTING:
            program = _program(arguments)
            if os.path.basename(program) not in COMPILERS:
                tell(PROGRAM_STARTED, program)
        elif event == EXAM_EVENT:
            tell(EXAM_READ, f"asked for {arguments[0]}")

    sys.addaudithook(hook)


def _folders(paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(os.path.realpath(path) + os.sep for path in paths)


def _writes(mode: Any, flags: Any) -> bool:
    return (isinstance(mode, str) and bool(set(mode) & set("wax+"))) or (
        isinstance(flags, int) and bool(flags & _WRITING)
    )


def _real(path: Any) -> str:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return ""
    return os.path.realpath(os.fsdecode(path)) + os.sep


def _program(arguments: Sequence[Any]) -> str:
    """What is started: the first word of what an event says."""
    for each in arguments:
        first = each[0] if isinstance(each, list | tuple) and each else each
        if isinstance(first, (str, bytes, os.PathLike)):
            words = os.fsdecode(first).split()
            return words[0] if words else ""
    return ""
