"""The fence around a process that runs a method's code: which files it may read and write, whom it may reach.

It is Landlock's (Linux 5.13 and newer; https://docs.kernel.org/userspace-api/landlock.html): needs no root, holds for
all that the process starts, and can't be taken down from inside. Behind it the exam's files can't be read and the
records can't be written, no other process can be looked into or signalled, and there is no network. Where the kernel
has none of it, what is missing is said, and Python's own audit events stand in for files.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Rights on files that a version of Landlock knows: those up to making links, renaming, truncating, devices' ioctl."""
_TCP = {4: 3}
_SCOPE = {6: 3}
"""Abstract sockets and signals."""
_ON_A_FILE = _EXECUTE | _WRITE | _READ | (1 << 14) | (1 << 15)

_DEVICES = ("null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr", "tty", "dri", "kfd")


@dataclass(frozen=True)
class Fence:
    """writable: folders and files that may be written. hidden: folders and files that may not be read, and nothing
    below them, also what is only made later. readable: nevertheless. network: whether connections may be opened (where
    weights come from a hub)."""

    writable: tuple[Path, ...]
    hidden: tuple[Path, ...]
    readable: tuple[Path, ...] = ()
    network: bool = False


def landlock() -> int:
    """The version of Landlock that the kernel has; 0 for none."""
    if sys.platform != "linux":
        return 0
    found: int = _syscall(_CREATE, None, 0, 1)
    return max(0, found)


def enclose(fence: Fence) -> bool:
    """Put this process, and all that it will start, behind the fence; whether the kernel holds it.

    Raises OSError where the kernel has Landlock and refuses.
    """
    version = landlock()
    if not version:
        _by_audit(fence)
        return False
    handled = _up_to(_ALL_FILES, version)
    network = 0 if fence.network else _up_to(_TCP, version)
    attributes = struct.pack("=QQQ", handled, network, _up_to(_SCOPE, version))
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _syscall(_CREATE, ctypes.create_string_buffer(attributes, len(attributes)), size, 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "the kernel refuses a Landlock ruleset")
    try:
        reading = _EXECUTE | _READ | _LIST
        for path, rights in _readable(_resolved(fence.hidden)):
            _allow(ruleset, path, rights & reading)
        for path in fence.readable:
            _allow(ruleset, path, reading)
        for path in (*fence.writable, *_devices()):
            _allow(ruleset, path, handled)
        ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        if _syscall(_RESTRICT, ruleset, 0) < 0:
            raise OSError(ctypes.get_errno(), "the kernel refuses to enforce a Landlock ruleset")
    finally:
        os.close(ruleset)
    return True


def _resolved(paths: Iterable[Path]) -> set[Path]:
    return {path.resolve() for path in paths}


def _readable(hidden: set[Path]) -> Iterator[tuple[Path, int]]:
    """Whole trees in which nothing is hidden; of folders above something hidden the names alone."""
    above = {parent for path in hidden for parent in path.parents}
    todo = [Path("/")]
    while todo:
        folder = todo.pop()
        if folder not in above:
            yield folder, _EXECUTE | _READ | _LIST
            continue
        yield folder, _LIST
        with suppress(OSError):
            for entry in folder.iterdir():
                if not entry.is_symlink() and entry not in hidden:  # what a link leads to has its own place
                    todo.append(entry)


def _devices() -> Iterator[Path]:
    for name in _DEVICES:
        yield Path("/dev", name)
    yield from sorted(Path("/dev").glob("nvidia*"))


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Of a file only rights that a file can have. What is not there needs no leave."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _ON_A_FILE
        rule = struct.pack("=Qi", rights, handle)
        _syscall(_ADD, ruleset, 1, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(handle)


def _up_to(table: dict[int, int], version: int) -> int:
    return max((rights for since, rights in table.items() if since <= version), default=0)


def _syscall(number: int, *arguments: Any) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    converted = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(libc.syscall(ctypes.c_long(number), *converted))


# --- where the kernel has no Landlock -------------------------------------------------------------------------------

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {"os.remove", "os.rename", "os.truncate", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.symlink"}


def _by_audit(fence: Fence) -> None:
    hidden = [os.fspath(path) + os.sep for path in _resolved(fence.hidden)]
    writable = [os.path.realpath(path) + os.sep for path in (*fence.writable, *_devices())]
    readable = [*writable, *(os.path.realpath(path) + os.sep for path in fence.readable)]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & _WRITING
            )
            if writes:
                _refuse(path, only=writable)
            else:
                _refuse(path, hidden=hidden, but=readable)
        elif event in _CHANGING:
            for path in arguments[:2]:
                _refuse(path, only=writable)

    sys.addaudithook(hook)


def _refuse(path: Any, *, only: Sequence[str] = ("",), hidden: Sequence[str] = (), but: Sequence[str] = ()) -> None:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    real = os.path.realpath(os.fsdecode(path)) + os.sep
    out_of_reach = real.startswith(tuple(hidden)) and not real.startswith(tuple(but))
    if out_of_reach or not real.startswith(tuple(only)):
        raise PermissionError(f"{real.rstrip(os.sep)} is out of a method's reach")
