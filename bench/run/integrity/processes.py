"""Rule: nothing that a method starts outlives the run, or works beside it while it is measured."""

import ctypes
import os
from contextlib import suppress

import psutil

from bench.run.integrity import RuleBroken

RULE = "process left behind"
MARK = "EFFBENCH_RUN"
"""Environment variable that every process of a run inherits; its value names the run."""

_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Linux: a process whose parent ends becomes this one's child, so that `check_alone` sees who detaches itself."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(_SET_CHILD_SUBREAPER, 1)


_of_others: set[psutil.Process] = set()


def note_children_of_others() -> None:
    """Children that this process has before a run are not the run's: a browser of the tests, say. A run in a process of
    its own, as all that are recorded, has none."""
    _of_others.clear()
    _of_others.update(psutil.Process().children(recursive=True))


def check_alone() -> None:
    """Raise RuleBroken if a child of this process that the run has started is alive."""
    _stop_resource_tracker()
    children = psutil.Process().children(recursive=True)
    alive = [child for child in children if child not in _of_others and _runs(child)]
    if alive:
        raise RuleBroken(RULE, f"{', '.join(map(_name, alive))} still ran when the method had ended its work")


def kill_marked(run: str) -> list[str]:
    """Kill every process of this user whose environment carries the mark of the run; return their names."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and _runs(process) and process.environ().get(MARK) == run:
                found.append(_name(process))
                process.kill()
    return found


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.name()} ({process.pid})"
    return str(process.pid)


def _stop_resource_tracker() -> None:
    """multiprocessing keeps a helper process of its own; joblib starts it. It starts again when it is needed."""
    from multiprocessing import resource_tracker

    with suppress(Exception):
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
