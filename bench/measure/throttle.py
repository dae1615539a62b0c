"""Whether the machine was held back: by heat, by the power supply, or by a container's processor quota."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.record import cgroup, nvml
from bench.record.nvml import Gpu

SLOW_CLOCK = 0.75
"""A GPU whose SM clock is below this share of its default, and that has no ordinary reason for it, is throttled."""

_HELD_BACK = {"HwSlowdown": "hardware slowdown", "SwThermalSlowdown": "heat (driver)", "HwThermalSlowdown": "heat"}
_HELD_BACK |= {"HwPowerBrakeSlowdown": "power brake", "Reliability": "reliability limit"}
_ORDINARY = ("GpuIdle", "SwPowerCap", "ApplicationsClocksSetting", "SyncBoost", "DisplayClockSetting")


class Throttle:
    """Asked between trials: `reason()` says why the machine was throttled since the last call.

    CPU (for a GPU run too, whose host may be held back): counters of thermal events of the cores that the process may
    use, and periods in which its cgroup, or one above it, was stopped by its quota (v1 and v2). They count up, so
    nothing between two calls is missed.
    CUDA: the reasons that the driver gives at the moment for its clocks (heat, power brake, hardware slowdown), the
    time that it counts as lost to heat, and the SM clock where nothing ordinary explains a low one. The software power
    cap is how a busy GPU normally runs and not throttling: `bench.record.device.device_facts` notes its time.

    readable: False where none of this can be read; then nothing is ever said to be throttled.
    A call costs about 2 us for each counter: 10-60 us, as long as the process is bound to few cores.
    sys, proc, gpu: for tests.
    """

    def __init__(
        self, device: str, *, sys: Path = Path("/sys"), proc: Path = Path("/proc"), gpu: Gpu | None = None
    ) -> None:
        self._counters = [*_thermal_counters(sys), *_quota_counters(sys, proc)]
        self._gpu = _GpuClocks.of(gpu or nvml.gpu(device))
        self.readable = bool(self._counters) or self._gpu is not None

    def reason(self) -> str | None:
        """Why the machine was throttled since the last call (or since this object was made), or None."""
        reasons = [counter.what for counter in self._counters if counter.advanced()]
        if self._gpu is not None:
            reasons += self._gpu.reasons()
        return ", ".join(dict.fromkeys(reasons)) or None


class _Counter:
    """A number in a file that the kernel counts up. key: the word before it, where the file has several lines."""

    def __init__(self, path: Path, what: str, key: bytes = b"") -> None:
        self.what, self._key = what, key
        self._file = path.open("rb", buffering=0)  # kept open: opening costs more than reading
        self._last = self._read()

    def advanced(self) -> bool:
        before, self._last = self._last, self._read()
        return self._last > before

    def _read(self) -> int:
        text = os.pread(self._file.fileno(), 4096, 0)
        return int(text[text.index(self._key) + len(self._key) :].split(maxsplit=1)[0])


def _counter(path: Path, what: str, key: bytes = b"") -> Iterator[_Counter]:
    try:
        yield _Counter(path, what, key)
    except (OSError, ValueError, IndexError):  # not there, not for us, or without that line
        return


def _thermal_counters(sys: Path) -> Iterator[_Counter]:
    for core in cgroup.affinity():
        for part in ("core", "package"):
            path = sys / f"devices/system/cpu/cpu{core}/thermal_throttle/{part}_throttle_count"
            yield from _counter(path, f"heat ({part})")


def _quota_counters(sys: Path, proc: Path) -> Iterator[_Counter]:
    for path in cgroup.throttled_periods(sys, proc):
        yield from _counter(path, "processor quota of the container", b"nr_throttled ")


@dataclass
class _GpuClocks:
    """What the driver says of the clocks. lost: nanoseconds lost to heat so far, None where it does not count them."""

    gpu: Gpu
    held_back: dict[int, str]
    ordinary: int
    default_clock: int | None
    lost: int | None

    @classmethod
    def of(cls, gpu: Gpu | None) -> "_GpuClocks | None":
        if gpu is None or _clock_reasons(gpu) is None:
            return None
        held_back = {_bit(gpu, name): what for name, what in _HELD_BACK.items()}
        ordinary = sum({_bit(gpu, name) for name in _ORDINARY})
        default = gpu.ask("DefaultApplicationsClock", gpu.nvml.NVML_CLOCK_SM)
        return cls(gpu, held_back, ordinary, default, _lost_to_heat(gpu))

    def reasons(self) -> list[str]:
        bits = _clock_reasons(self.gpu) or 0
        reasons = [f"GPU {what}" for bit, what in self.held_back.items() if bits & bit]
        before, self.lost = self.lost, _lost_to_heat(self.gpu)
        if before is not None and self.lost is not None and self.lost > before:
            reasons.append("GPU heat")
        if self.default_clock and not bits & self.ordinary:
            clock = self.gpu.ask("ClockInfo", self.gpu.nvml.NVML_CLOCK_SM)
            if clock is not None and clock < SLOW_CLOCK * self.default_clock:
                reasons.append(f"GPU clock at {clock} of {self.default_clock} MHz")
        return reasons


def _clock_reasons(gpu: Gpu) -> int | None:
    """Bits of why the clocks are what they are now. Newer drivers call the question by another name."""
    bits = gpu.ask("CurrentClocksEventReasons")
    return gpu.ask("CurrentClocksThrottleReasons") if bits is None else bits


def _bit(gpu: Gpu, name: str) -> int:
    return int(getattr(gpu.nvml, f"nvmlClocksThrottleReason{name}", 0))


def _lost_to_heat(gpu: Gpu) -> int | None:
    status = gpu.ask("ViolationStatus", gpu.nvml.NVML_PERF_POLICY_THERMAL)
    return None if status is None else int(status.violationTime)
