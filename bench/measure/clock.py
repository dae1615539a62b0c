"""The clock: one call timed on the wall, by the device's own events, and by what processor time it took."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

# Bound when this module is imported: what a method does to `time` or `torch.cuda` later does not reach the clock.
_now = time.perf_counter_ns
_processor = time.process_time_ns
_thread = time.thread_time_ns
_synchronize = torch.cuda.synchronize


@dataclass(frozen=True)
class Reading:
    """Seconds of one call. wall: with the device idle at both ends. device: between CUDA events before and after it,
    None on a CPU. processor: of all threads of this process. thread: of the calling thread alone.
    """

    wall: float
    device: float | None
    processor: float
    thread: float


class Clock:
    """Times calls on one device.

    On CUDA the L2 cache is overwritten before each call, so that no call finds what the one before it left there, and
    the device is idle when the call starts and when it ends.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._cuda = device.startswith("cuda")
        if self._cuda:
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]  # type: ignore[no-untyped-call]
            l2_bytes = torch.cuda.get_device_properties(device).L2_cache_size
            self._flush = torch.empty(2 * l2_bytes, dtype=torch.uint8, device=device)

    def time(self, run: Callable[[], Any]) -> tuple[Any, Reading]:
        """The result of a call, and how long it took. Freeing the result is the caller's, and not timed."""
        return self._time_cuda(run) if self._cuda else self._time_cpu(run)

    def _time_cpu(self, run: Callable[[], Any]) -> tuple[Any, Reading]:
        processor, thread = _processor(), _thread()
        start = _now()
        result = run()
        wall = _now() - start
        return result, Reading(wall / 1e9, None, (_processor() - processor) / 1e9, (_thread() - thread) / 1e9)

    def _time_cuda(self, run: Callable[[], Any]) -> tuple[Any, Reading]:
        begin, end = self._events
        self._flush.zero_()
        _synchronize(self._device)
        processor, thread = _processor(), _thread()
        start = _now()
        begin.record()
        result = run()
        end.record()
        _synchronize(self._device)  # every stream of the device, not only the one that the events are on
        wall = _now() - start
        on_device = begin.elapsed_time(end) / 1e3
        return result, Reading(wall / 1e9, on_device, (_processor() - processor) / 1e9, (_thread() - thread) / 1e9)


def clock(run: Callable[[], Any], device: str) -> float:
    """Wall seconds of one call, with the device idle at both ends."""
    _, reading = _clock(device).time(run)
    return reading.wall


@cache
def _clock(device: str) -> Clock:
    return Clock(device)
