"""The control group (container) that this process runs in: what it limits. Linux, versions 1 and 2."""

import os
from collections.abc import Iterator
from pathlib import Path

UNLIMITED = 1 << 60
"""Version 1 writes "no limit" as a number of bytes near 2**63."""


def folders(controller: str, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> list[Path]:
    """Folders of this process's group and those above it that hold `controller`, innermost first.

    A path that is not there is one outside of the container: what can be seen starts at the mount.
    """
    text = read(proc / "self/cgroup")
    found = []
    for line in (text or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = sys / "fs/cgroup" / (controllers and controller)  # version 2 names no controllers: one tree for all
        folder = root / path.lstrip("/")
        for level in (folder, *folder.parents):
            if level.is_dir():
                found.append(level)
            if level == root:
                break
    return found


def cpu_quota(sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> float | None:
    """Processors' worth of time that the group may use, the tightest of all levels; None: no limit."""
    quotas = []
    for folder in folders("cpu", sys, proc):
        pair = (read(folder / "cpu.max") or "").split()
        if not pair:
            pair = [read(folder / f"cpu.cfs_{part}_us") or "" for part in ("quota", "period")]
        if all(part.isdigit() for part in pair):  # "max" and -1 say that there is none
            quotas.append(int(pair[0]) / int(pair[1]))
    return min(quotas, default=None)


def memory_limit(sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> int | None:
    """Bytes of memory that the group may use, the tightest of all levels; None: no limit."""
    limits = []
    for folder in folders("memory", sys, proc):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = read(folder / name)
            if text is not None and text.isdigit() and int(text) < UNLIMITED:
                limits.append(int(text))
    return min(limits, default=None)


def throttled_periods(sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> Iterator[Path]:
    """The cpu.stat files, of all levels, whose line nr_throttled counts the periods in which the quota stopped us."""
    for folder in folders("cpu", sys, proc):
        if "nr_throttled" in (read(folder / "cpu.stat") or ""):
            yield folder / "cpu.stat"


def oom_kills(sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> int:
    """How many processes of the group, and of those above it, the system has ended for want of memory so far."""
    total = 0
    for folder in folders("memory", sys, proc):
        for line in (read(folder / "memory.events") or read(folder / "memory.oom_control") or "").splitlines():
            name, _, count = line.partition(" ")
            total += int(count) if name == "oom_kill" and count.isdigit() else 0
    return total


def read(path: Path) -> str | None:
    """The text of a small file of the kernel, stripped; None where it can't be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def affinity() -> list[int]:
    """Numbers of the processors that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
