"""The clock: seconds of one call, less what other processes took from it, and by the device's own events."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from bench.measure.waiting import RunQueue

# Bound when this module is imported: what a method does to `time` or `torch.cuda` later does not reach the clock.
_now = time.perf_counter_ns
_processor = time.process_time_ns
_thread = time.thread_time_ns
_synchronize = torch.cuda.synchronize


@dataclass(frozen=True)
class Reading:
    """Seconds of one call.

    seconds: on the wall, with the device idle at both ends, less `lost`. lost: while the calling thread was ready to
    run but another process had the processor. device: between CUDA events before and after the call, None on a CPU.
    processor: of all threads of this process. thread: of the calling thread alone. waited: for a processor, by threads
    that took part, without being in `lost`: it may have made the call longer, nobody knows by how much. unfinished:
    while other streams of the device went on after the one that the call was made on.
    """

    seconds: float
    lost: float
    device: float | None
    processor: float
    thread: float
    waited: float
    unfinished: float = 0.0


class Clock:
    """Times calls on one device. Used as a context: it holds files of the kernel open.

    CPU: what the kernel's scheduler says the calling thread waited for a processor is taken out, as it is the cost of
    other processes and not of the call. Only as far as it can't be this process's own threads that had the processor
    (their processor time is left in), and never below the processor time of the call itself.
    CUDA: nothing is taken out, as the device goes on while the host waits. The L2 cache is overwritten before each
    call, so that no call finds what the one before it left there.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._cuda = device.startswith("cuda")
        self._queue = RunQueue(everyone=not self._cuda and torch.get_num_threads() > 1)
        self._caller = threading.get_native_id()
        if self._cuda:
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]  # type: ignore[no-untyped-call]
            l2_bytes = torch.cuda.get_device_properties(device).L2_cache_size
            self._flush = torch.empty(2 * l2_bytes, dtype=torch.uint8, device=device)

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
        if self._cuda:
            self._flush.zero_()
            _synchronize(self._device)
        account = self._queue.read()
        processor_start, thread_start = _processor(), _thread()
        result, wall, device, unfinished = self._cuda_seconds(run) if self._cuda else self._cpu_seconds(run)
        thread, processor = (_thread() - thread_start) / 1e9, (_processor() - processor_start) / 1e9
        after = self._queue.read()
        waited = after.waited_since(account, self._caller)
        lost = 0.0
        if not self._cuda:
            lost = min(max(0.0, waited - max(0.0, processor - thread)), max(0.0, wall - thread))
        waited = max(0.0, waited - lost) + after.others_waited_since(account, self._caller, wall)
        return result, Reading(wall - lost, lost, device, processor, thread, waited, unfinished)

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


def clock(run: Callable[[], Any], device: str) -> float:
    """Seconds of one call, with the device idle at both ends."""
    _, reading = _clock(device, threading.get_native_id()).time(run)
    return reading.seconds


@cache
def _clock(device: str, thread: int) -> Clock:
    """Made once for each thread that calls: on CUDA it holds memory."""
    return Clock(device).__enter__()
