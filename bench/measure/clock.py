"""The clock: seconds of one call, less what other processes took from it, and by the device's own events.

Two halves. `Stopwatch` stands beside the work and takes the stamps; `Waiting` tells what the kernel's scheduler says of
the same process meanwhile, and may look at it from outside. `reading` makes of both what is believed.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from bench.measure.waiting import Account, RunQueue

# Bound when this module is imported: what somebody does to `time` or `torch.cuda` later does not reach the clock.
_now = time.perf_counter_ns
_processor = time.process_time_ns
_thread = time.thread_time_ns
_synchronize = torch.cuda.synchronize


@dataclass(frozen=True)
class Stamps:
    """Of one call, in seconds. wall: with the device idle at both ends. processor: of all threads of the process.
    thread: of the calling thread alone. device: between CUDA events before and after the call, None on a CPU.
    unfinished: while other streams of the device went on after the one that the call was made on."""

    wall: float
    processor: float
    thread: float
    device: float | None = None
    unfinished: float = 0.0


@dataclass(frozen=True)
class Reading:
    """Seconds of one call.

    seconds: on the wall, less `lost`. lost: while the calling thread was ready to run but another process had the
    processor. waited: for a processor, by threads that took part, without being in `lost`: it may have made the call
    longer, nobody knows by how much. The others: as of Stamps.
    """

    seconds: float
    lost: float
    device: float | None
    processor: float
    thread: float
    waited: float
    unfinished: float = 0.0


class Stopwatch:
    """Takes the stamps of calls on one device. CUDA: the L2 cache is overwritten before each call, so that no call
    finds what the one before it left there."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._cuda = device.startswith("cuda")
        if self._cuda:
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]  # type: ignore[no-untyped-call]
            l2_bytes = torch.cuda.get_device_properties(device).L2_cache_size
            self._flush = torch.empty(2 * l2_bytes, dtype=torch.uint8, device=device)

    def time(self, run: Callable[[], Any]) -> tuple[Any, Stamps]:
        """The result of a call, and its stamps. Freeing the result is the caller's, and not timed."""
        if self._cuda:
            self._flush.zero_()
            _synchronize(self._device)
        processor, thread = _processor(), _thread()
        result, wall, device, unfinished = self._cuda_seconds(run) if self._cuda else self._cpu_seconds(run)
        thread, processor = _thread() - thread, _processor() - processor
        return result, Stamps(wall, processor / 1e9, thread / 1e9, device, unfinished)

    def _cpu_seconds(self, run: Callable[[], Any]) -> tuple[Any, float, float | None, float]:
        start = _now()
        result = run()
        return result, (_now() - start) / 1e9, None, 0.0

    def _cuda_seconds(self, run: Callable[[], Any]) -> tuple[Any, float, float | None, float]:
        begin, end = self._events
        stream = torch.cuda.current_stream(self._device)
        start = _now()
        begin.record(stream)
        result = run()
        end.record(stream)
        end.synchronize()
        own = _now()
        _synchronize(self._device)  # every stream of the device, not only the one that the events are on
        done = _now()
        return result, (done - start) / 1e9, begin.elapsed_time(end) / 1e3, (done - own) / 1e9


def reading(stamps: Stamps, before: Account, after: Account, caller: int, *, cuda: bool) -> Reading:
    """What is believed of a call.

    CPU: what the scheduler says the calling thread waited for a processor is taken out, as it is the cost of other
    processes and not of the call. Only as far as it can't be the process's own threads that had the processor (their
    processor time is left in), and never below the processor time of the call itself.
    CUDA: nothing is taken out, as the device goes on while the host waits.
    """
    waited = after.waited_since(before, caller)
    lost = 0.0
    if not cuda:
        beside = max(0.0, stamps.processor - stamps.thread)
        lost = min(max(0.0, waited - beside), max(0.0, stamps.wall - stamps.thread))
    waited = max(0.0, waited - lost) + after.others_waited_since(before, caller, stamps.wall)
    return Reading(stamps.wall - lost, lost, stamps.device, stamps.processor, stamps.thread, waited, stamps.unfinished)


class Clock:
    """Both halves in one process. Used as a context: it holds files of the kernel open."""

    def __init__(self, device: str) -> None:
        self._watch = Stopwatch(device)
        self._cuda = device.startswith("cuda")
        self._queue = RunQueue(everyone=not self._cuda and torch.get_num_threads() > 1)
        self._caller = threading.get_native_id()

    def __enter__(self) -> "Clock":
        self._queue.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.__exit__()

    def find_threads(self) -> None:
        """To be called now and then: threads that have started since are watched too."""
        self._queue.find_threads()

    def time(self, run: Callable[[], Any]) -> tuple[Any, Reading]:
        """The result of a call, and how long it took. Freeing the result is the caller's, and not timed."""
        before = self._queue.read()
        result, stamps = self._watch.time(run)
        return result, reading(stamps, before, self._queue.read(), self._caller, cuda=self._cuda)


def clock(run: Callable[[], Any], device: str) -> float:
    """Seconds of one call, with the device idle at both ends."""
    _, found = _clock(device, threading.get_native_id()).time(run)
    return found.seconds


@cache
def _clock(device: str, thread: int) -> Clock:
    """Made once for each thread that calls: on CUDA it holds memory."""
    return Clock(device).__enter__()
