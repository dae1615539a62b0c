"""The evaluation split is for scoring alone: a suite's loader asks here, and what a method wrote gets a refusal.

In a run the engine locks the split before it meets the method, and opens it while the suite scores. Outside of a run
(a notebook, a test) nothing is locked.
"""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class EvaluationSplitRead(RuntimeError):
    """A method tried to read the data that it is scored on."""


class _Lock:
    def __init__(self) -> None:
        self.on = False
        self.method_files: frozenset[str] = frozenset()
        self.open_in_thread: int | None = None
        self.refused: list[str] = []


_lock = _Lock()


def require_scoring(what: str) -> None:
    """To be called by every function of a suite that gives evaluation data away. what: names the data in the refusal.

    Raises EvaluationSplitRead in a run, unless the suite is scoring, in the engine's own thread, and no function of the
    method is among the callers.
    """
    if not _lock.on:
        return
    caller = next((path for path in _callers() if path in _lock.method_files), None)
    if _lock.open_in_thread == threading.get_ident() and caller is None:
        return
    _lock.refused.append(f"{what}, by {Path(caller).name if caller else 'code outside of the scoring'}")
    raise EvaluationSplitRead(
        f"{what} is evaluation data: methods build from the calibration and training splits of their task"
    )


def lock_evaluation(method_files: Iterable[Path]) -> None:
    """Lock the split in this process. method_files: the source files that may never be among the callers."""
    _lock.on, _lock.method_files = True, frozenset(str(path) for path in method_files)
    _lock.refused.clear()


def unlock_evaluation() -> None:
    """Back to the state outside of a run."""
    _lock.on, _lock.open_in_thread = False, None


@contextmanager
def scoring() -> Iterator[None]:
    """While the suite scores: what it calls in this thread may read the evaluation split."""
    _lock.open_in_thread = threading.get_ident()
    try:
        yield
    finally:
        _lock.open_in_thread = None


def refusals() -> tuple[str, ...]:
    """What was refused since the lock, also where the method swallowed the exception."""
    return tuple(_lock.refused)


def _callers() -> Iterator[str]:
    frame = sys._getframe(2)
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back  # type: ignore[assignment]
