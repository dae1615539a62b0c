"""One side of a comparison: whoever can be told to do a step, here or in another process."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import torch

from bench.contract import Served, Step
from bench.measure.clock import Clock, Reading
from bench.measure.graphs import CapturedStep
from bench.measure.memory import free_bytes, is_out_of_memory, peak_memory
from bench.measure.size import resident
from bench.measure.work import Work, count_work

T = TypeVar("T")


class SideOutOfMemory(MemoryError):
    """A step ran out of memory; the side can go on with a smaller one."""


class Side(Protocol):
    """A step is loaded, which makes its inputs ready, then run under the clock; then its result can be asked for."""

    def load(self, steps: Sequence[Step], *, graph: bool = False) -> None:
        """Steps that are to be run in one go. graph: captured as a CUDA graph. Raises RuntimeError where that can't be
        done, and SideOutOfMemory."""

    def run(self) -> Reading:
        """Raises SideOutOfMemory."""

    def work(self) -> Work:
        """Run what is loaded and count its operators, without a clock; its result can be asked for. Raises
        UncountedOperatorError."""

    def result(self) -> Any:
        """Of the last step that ran, plain data."""

    def check(self, step: Step) -> str | None:
        """What is wrong with the last result, or None, by the step's own check."""

    def rest(self) -> None:
        """Between two trials: what may take time."""

    def peak_bytes(self) -> float:
        """The most that the runs since `reset_peak` took above what was held then. Where memory ran out: as far as it
        came."""

    def reset_peak(self) -> None: ...

    def held_bytes(self) -> float:
        """Of what serves."""

    def free_bytes(self) -> float:
        """That it can still get."""


@dataclass
class SideHere:
    """A side in this process. Used as a context: it holds files of the kernel open, and keeps the garbage collector
    from interrupting steps."""

    served: Served[Any]
    device: str = "cpu"
    _runs: list[Callable[[], Any]] = field(default_factory=list)
    _result: Any = None
    _captured: dict[str, CapturedStep] = field(default_factory=dict)

    def __enter__(self) -> "SideHere":
        self._clock = Clock(self.device).__enter__()
        self._quiet = quiet_collector()
        self._collect = self._quiet.__enter__()
        self._peak = peak_memory(self.device)
        self._peaked = self._peak.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._peak.__exit__(None, None, None)
        self._quiet.__exit__(None, None, None)
        self._clock.__exit__()

    def load(self, steps: Sequence[Step], *, graph: bool = False) -> None:
        self._runs = _told_of_memory(lambda: [self._prepared(step, graph) for step in steps])

    def _prepared(self, step: Step, graph: bool) -> Callable[[], Any]:
        inputs = self.served.place(step.inputs)
        call = getattr(self.served, step.call)
        if not graph:
            return partial(call, *inputs)
        if step.phase not in self._captured:
            self._captured[step.phase] = CapturedStep(call, inputs, self.device)
        captured = self._captured[step.phase]
        captured.load(inputs)
        return captured.replay

    def run(self) -> Reading:
        self.forget()
        self._result, found = _told_of_memory(lambda: self._clock.time(self.everything))
        return found

    def everything(self) -> Any:
        """Do all that is loaded; the last result."""
        result = None
        for run in self._runs:
            result = run()
        return result

    def forget(self) -> None:
        """The last result: to free it is not the next step's work."""
        self._result = None

    def keep(self, result: Any) -> None:
        self._result = result

    def work(self) -> Work:
        self.forget()
        return count_work(lambda: self.keep(self.everything()))

    def result(self) -> Any:
        return self._result

    def check(self, step: Step) -> str | None:
        return None if step.check is None else step.check(self._result, self.served)

    def rest(self) -> None:
        self._collect()
        self._clock.find_threads()

    def peak_bytes(self) -> float:
        self._peak.__exit__(None, None, None)
        above = self._peaked.above_start
        self.reset_peak()
        return above

    def reset_peak(self) -> None:
        self._peak = peak_memory(self.device)
        self._peaked = self._peak.__enter__()

    def held_bytes(self) -> float:
        return float(resident(self.served.resident()))

    def free_bytes(self) -> float:
        return free_bytes(self.device)


def _told_of_memory(run: Callable[[], T]) -> T:
    """What it gives. Raises SideOutOfMemory where memory ran out, when what the error held has been let go of."""
    try:
        return run()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        words = (str(error) or type(error).__name__).splitlines()[0]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    raise SideOutOfMemory(words)


_UPKEEP = 100
"""Collecting garbage may take one part in this many of the time."""
_COLLECT_AFTER = 1_000_000_000  # nanoseconds without a collection that nobody minds
_now = time.perf_counter_ns


@contextmanager
def quiet_collector() -> Iterator[Callable[[], None]]:
    """The garbage collector off, so that it interrupts no step. Yields what collects between trials, cheaply: what was
    there at the start is left out, once a second at most, and taking one part in _UPKEEP of the time. May be nested.
    Where somebody has frozen objects already, theirs alone are left out, and stay so.
    """
    outermost = gc.isenabled()
    freezes = outermost and not gc.get_freeze_count()
    if outermost:
        gc.disable()
    if freezes:
        gc.freeze()
    cost, last = 0, _now()

    def collect() -> None:
        nonlocal cost, last
        start = _now()
        if start - last < max(_COLLECT_AFTER, _UPKEEP * cost):
            return
        gc.collect()
        last = _now()
        cost = last - start

    try:
        yield collect
    finally:
        if freezes:
            gc.unfreeze()
        if outermost:
            gc.enable()
