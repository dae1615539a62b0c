# ruff: noqa: N802, N815 (the names are NVML's)
"""Throttling on a made-up /sys and a made-up driver, where every event is ours."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.measure.throttle import Throttle
from bench.record.nvml import Gpu

CORE = min(os.sched_getaffinity(0))


class Machine:
    """A folder with sys/ and proc/ to write into."""

    def __init__(self, root: Path, cgroup: str = "0::/box/inner\n") -> None:
        self.sys, self.proc = root / "sys", root / "proc"
        self.write(self.proc / "self/cgroup", cgroup)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def heat(self, part: str, count: int, core: int = CORE) -> None:
        path = self.sys / f"devices/system/cpu/cpu{core}/thermal_throttle/{part}_throttle_count"
        self.write(path, f"{count}\n")

    def quota(self, folder: str, throttled: int) -> None:
        text = f"usage_usec 5\nnr_periods 9\nnr_throttled {throttled}\nthrottled_usec 7\n"
        self.write(self.sys / "fs/cgroup" / folder / "cpu.stat", text)

    def throttle(self) -> Throttle:
        return Throttle("cpu", sys=self.sys, proc=self.proc)


def test_a_machine_that_says_nothing_is_never_throttled(tmp_path: Path) -> None:
    throttle = Throttle("cpu", sys=tmp_path, proc=tmp_path)
    assert not throttle.readable
    assert throttle.reason() is None


@pytest.mark.parametrize("part", ["core", "package"])
def test_a_thermal_event_is_told_once(tmp_path: Path, part: str) -> None:
    machine = Machine(tmp_path)
    machine.heat("core", 3)
    machine.heat("package", 7)
    throttle = machine.throttle()
    assert throttle.readable
    assert throttle.reason() is None  # what was before is not ours
    machine.heat(part, 8)
    assert throttle.reason() == f"heat ({part})"
    assert throttle.reason() is None


def test_heat_of_a_core_that_the_process_may_not_use_is_not_ours(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    other = max(os.sched_getaffinity(0)) + 1
    machine.heat("core", 1)
    machine.heat("core", 1, core=other)
    throttle = machine.throttle()
    machine.heat("core", 2, core=other)
    assert throttle.reason() is None


@pytest.mark.parametrize("folder", ["box/inner", "box", ""])
def test_a_quota_at_any_level_counts(tmp_path: Path, folder: str) -> None:
    machine = Machine(tmp_path)
    for level in ("box/inner", "box", ""):
        machine.quota(level, 10)
    throttle = machine.throttle()
    machine.quota(folder, 11)
    assert throttle.reason() == "processor quota of the container"
    assert throttle.reason() is None


def test_cgroup_v1_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "4:memory:/mem\n3:cpu,cpuacct:/box\n0::/\n")
    machine.quota("cpu/box", 0)
    throttle = machine.throttle()
    machine.quota("cpu/box", 1)
    assert throttle.reason() == "processor quota of the container"


def test_cgroup_path_outside_of_the_container_falls_back_to_the_mount(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "0::/host/only/path\n")
    machine.quota("", 4)
    throttle = machine.throttle()
    machine.quota("", 5)
    assert throttle.reason() is not None


class NoAnswer(Exception):
    """NVML's error."""


class FakeNvml:
    """A driver whose answers are attributes; None: the function fails."""

    NVMLError = NoAnswer
    NVML_CLOCK_SM, NVML_PERF_POLICY_THERMAL = 1, 1
    nvmlClocksThrottleReasonGpuIdle, nvmlClocksThrottleReasonApplicationsClocksSetting = 1, 2
    nvmlClocksThrottleReasonSwPowerCap, nvmlClocksThrottleReasonHwSlowdown = 4, 8
    nvmlClocksThrottleReasonHwThermalSlowdown, nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 64, 128

    def __init__(self) -> None:
        self.bits: int | None = 0
        self.lost: int | None = 5
        self.clock: int | None = 1980

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: object) -> int:
        return self._answer(self.bits)

    def nvmlDeviceGetViolationStatus(self, handle: object, policy: int) -> SimpleNamespace:
        return SimpleNamespace(violationTime=self._answer(self.lost))

    def nvmlDeviceGetDefaultApplicationsClock(self, handle: object, kind: int) -> int:
        return 1980

    def nvmlDeviceGetClockInfo(self, handle: object, kind: int) -> int:
        return self._answer(self.clock)

    def _answer(self, value: int | None) -> int:
        if value is None:
            raise NoAnswer
        return value


@pytest.fixture
def nvml() -> FakeNvml:
    return FakeNvml()


def gpu_throttle(nvml: FakeNvml, tmp_path: Path) -> Throttle:
    return Throttle("cuda", sys=tmp_path, proc=tmp_path, gpu=Gpu(nvml, "handle"))


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0, None),
        (1, None),  # idle
        (4, None),  # software power cap: how a busy GPU runs
        (8, "GPU hardware slowdown"),
        (64, "GPU heat"),
        (128 | 4, "GPU power brake"),
    ],
)
def test_gpu_reasons_that_count(nvml: FakeNvml, tmp_path: Path, bits: int, expected: str | None) -> None:
    throttle = gpu_throttle(nvml, tmp_path)
    nvml.bits = bits
    assert throttle.reason() == expected


def test_gpu_heat_between_two_calls_is_not_missed(nvml: FakeNvml, tmp_path: Path) -> None:
    throttle = gpu_throttle(nvml, tmp_path)
    assert throttle.reason() is None
    nvml.lost = 6
    assert throttle.reason() == "GPU heat"
    assert throttle.reason() is None


@pytest.mark.parametrize(("bits", "told"), [(0, True), (1, False), (2, False), (4, False)])
def test_a_low_gpu_clock_counts_unless_something_ordinary_explains_it(
    nvml: FakeNvml, tmp_path: Path, bits: int, told: bool
) -> None:
    throttle = gpu_throttle(nvml, tmp_path)
    nvml.bits, nvml.clock = bits, 1400
    assert throttle.reason() == ("GPU clock at 1400 of 1980 MHz" if told else None)


def test_a_gpu_that_answers_nothing_is_not_readable(nvml: FakeNvml, tmp_path: Path) -> None:
    nvml.bits = None
    throttle = gpu_throttle(nvml, tmp_path)
    assert not throttle.readable
    assert throttle.reason() is None


@pytest.mark.gpu
def test_a_real_gpu_is_readable(cuda: str) -> None:
    throttle = Throttle(cuda)
    assert throttle.readable
    throttle.reason()
