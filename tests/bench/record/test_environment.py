# ruff: noqa: N802 (the names are NVML's)
"""Facts of made-up machines, limits of made-up containers, and of the real one what must hold anywhere."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.record import cgroup
from bench.record.device import cpu_facts, cpu_info, device_facts, gpu_facts, other_processes
from bench.record.environment import collect, commit, hardware_class, no_commit, usable_cores
from bench.record.nvml import Gpu, own_bytes

CORE = min(os.sched_getaffinity(0))


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def cpuinfo(core: int, vectors: str = "avx2 avx512f", family: int = 25) -> str:
    """As Linux tells of one processor of a virtual machine."""
    named = f"cpu family\t: {family}\nmodel\t\t: {17 + core}\nmodel name\t: AMD EPYC\nstepping\t: 1"
    named = f"vendor_id\t: AuthenticAMD\n{named}"
    return f"processor\t: {core}\n{named}\nflags\t\t: fpu {vectors} sse4_2\npower management:\n\n"


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    return tmp_path / "sys"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    write(tmp_path / "proc/self/cgroup", "0::/box/inner")
    return tmp_path / "proc"


def test_facts_of_a_cpu(sys: Path, proc: Path) -> None:
    cpus = sys / "devices/system/cpu"
    for core in os.sched_getaffinity(0):
        write(cpus / f"cpu{core}/cpufreq/scaling_governor", "powersave")
        write(cpus / f"cpu{core}/cpufreq/scaling_cur_freq", 2_400_000)
    write(cpus / f"cpu{CORE}/cpufreq/cpuinfo_max_freq", 3_500_000)
    write(cpus / f"cpu{CORE}/thermal_throttle/core_throttle_count", 12)
    write(cpus / "intel_pstate/no_turbo", 1)
    write(cpus / "smt/active", 1)
    write(proc / "cpuinfo", cpuinfo(0) + cpuinfo(1))
    write(proc / "loadavg", "3.25 1.0 0.5 1/200 4242")
    write(proc / "stat", f"cpu  1 2 3 4 5 6 7 {250 * os.sysconf('SC_CLK_TCK')} 0 0")
    write(sys / "fs/cgroup/box/cpu.stat", "nr_periods 8\nnr_throttled 3")
    write(sys / "fs/cgroup/box/inner/cpu.stat", "nr_throttled 4")
    write(sys / "fs/cgroup/box/cpu.max", "150000 100000")
    facts = cpu_facts(sys, proc)
    facts.pop("kernels", None)  # of whoever tests
    assert facts.pop("affinity")
    assert facts == {
        "generation": "25-17-1",
        "load_1min": "3.25",
        "governor": "powersave",
        "mhz": "2400",
        "max_mhz": "3500",
        "boost": "off",
        "smt": "on",
        "steal_seconds": "250.00",
        "thermal_events": "12",
        "throttled_periods": "7",
        "cpu_quota": "1.5",
    }


def test_processors_of_one_name_and_different_generations_are_of_different_classes(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.record.environment._first_processor", lambda: cpu_info(proc))
    found = []
    for vectors in ("avx2 avx512f", "avx2", "neon", "avx2 avx512f amx_bf16"):
        write(proc / "cpuinfo", cpuinfo(0, vectors))
        found.append(hardware_class("cpu", 1))
    for vectors in ("avx2 avx512f", "avx2"):
        write(proc / "cpuinfo", cpuinfo(0, vectors, family=26))
        found.append(hardware_class("cpu", 1))
    ends = ["1t", "avx2-1t", "1t", "amx-1t", "zen5-1t", "avx2-1t"]
    assert found == [f"cpu-amd-epyc-{end}" for end in ends]


def test_kernels_without_some_instructions_are_another_class(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.record.environment._first_processor", lambda: cpu_info(proc))
    write(proc / "cpuinfo", cpuinfo(0))
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert hardware_class("cpu", 1) == "cpu-amd-epyc-aten-avx2-1t"
    assert "ATEN_CPU_CAPABILITY=avx2" in device_facts("cpu")["kernels"]
    monkeypatch.delenv("ATEN_CPU_CAPABILITY")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert hardware_class("cpu", 1) == "cpu-amd-epyc-1t"
    assert device_facts("cpu")["kernels"] == "OPENBLAS_CORETYPE=Haswell"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (250_000, 2), (50_000, 1), (1_600_000, 8)])
def test_a_quota_is_read_of_both_versions(
    sys: Path, proc: Path, version: int, quota: int | None, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.record.environment.affinity", lambda: list(range(8)))
    monkeypatch.setattr("bench.record.environment.cpu_quota", lambda: cgroup.cpu_quota(sys, proc))
    if version == 1:
        write(proc / "self/cgroup", "3:cpu,cpuacct:/docker/0123\n0::/")
        (sys / "fs/cgroup/cpu,cpuacct").mkdir(parents=True)
        (sys / "fs/cgroup/cpu").symlink_to("cpu,cpuacct")  # the container sees its own group as the root
        write(sys / "fs/cgroup/cpu/cpu.cfs_quota_us", -1 if quota is None else quota)
        write(sys / "fs/cgroup/cpu/cpu.cfs_period_us", 100_000)
    else:
        write(proc / "self/cgroup", "0::/")
        write(sys / "fs/cgroup/cpu.max", f"{quota or 'max'} 100000")
    assert usable_cores() == cores


def test_facts_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    assert set(cpu_facts(tmp_path, tmp_path)) <= {"affinity", "mhz", "kernels"}


def test_the_tightest_limit_of_all_levels_binds(sys: Path, proc: Path) -> None:
    groups = sys / "fs/cgroup"
    assert cgroup.cpu_quota(sys, proc) is None
    write(groups / "box/inner/cpu.max", "max 100000")
    write(groups / "box/inner/memory.max", "max")
    assert cgroup.cpu_quota(sys, proc) is None
    assert cgroup.memory_limit(sys, proc) is None
    write(groups / "box/cpu.max", "50000 100000")
    write(groups / "cpu.max", "400000 100000")
    write(groups / "box/memory.max", 1000)
    write(groups / "memory.max", 500)
    assert cgroup.cpu_quota(sys, proc) == 0.5
    assert cgroup.memory_limit(sys, proc) == 500


def test_limits_of_cgroup_version_1(sys: Path, proc: Path) -> None:
    write(proc / "self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/job\n0::/")
    write(sys / "fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", 200_000)
    write(sys / "fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", 100_000)
    write(sys / "fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", -1)
    write(sys / "fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", 100_000)
    (sys / "fs/cgroup/cpu").symlink_to("cpu,cpuacct")
    write(sys / "fs/cgroup/memory/job/memory.limit_in_bytes", 4096)
    write(sys / "fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
    assert cgroup.cpu_quota(sys, proc) == 2
    assert cgroup.memory_limit(sys, proc) == 4096


class NoAnswer(Exception):
    """NVML's error."""


class FakeNvml:
    """Answers some questions, fails others as a driver without support does."""

    NVMLError = NoAnswer
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVML_PERF_POLICY_POWER, NVML_PERF_POLICY_THERMAL = 0, 1
    running: tuple[int, ...] = ()

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.1"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return 12080

    def nvmlDeviceGetClockInfo(self, handle: object, kind: int) -> int:
        return {1: 1980, 2: 2619}[kind]

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: object) -> int:
        return 700_000

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: object) -> int:
        return 0x4 | 0x40

    def nvmlDeviceGetEccMode(self, handle: object) -> list[int]:
        return [1, 0]

    def nvmlDeviceGetMigMode(self, handle: object) -> Any:
        raise NoAnswer

    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=100 * place) for place, pid in enumerate(self.running, start=1)]


def test_facts_of_a_gpu() -> None:
    facts = gpu_facts("cuda", Gpu(FakeNvml(), "handle"))
    assert facts == {
        "gpu_driver": "570.1",
        "gpu_cuda_driver": "12.8",
        "gpu_cuda_runtime": str(torch.version.cuda),
        "gpu_sm_mhz": "1980",
        "gpu_memory_mhz": "2619",
        "gpu_power_limit_watts": "700",
        "gpu_clock_reasons": "software power cap, hardware thermal slowdown",
        "gpu_ecc": "on",
        "gpu_other_processes": "0",
    }


@pytest.mark.parametrize(
    ("running", "initialised", "others"),
    [
        ((), False, 0),
        ((os.getpid(),), True, 0),
        ((os.getpid(), 7, 8), True, 2),
        ((7, 8), True, 1),  # a container hides our own number
        ((7,), False, 1),
    ],
)
def test_other_processes_on_the_gpu(
    running: tuple[int, ...], initialised: bool, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: initialised)
    nvml = FakeNvml()
    nvml.running = running
    assert other_processes(Gpu(nvml, "handle")) == others


@pytest.mark.parametrize(
    ("running", "held"),
    [((), None), ((7, os.getpid()), 200), ((7,), 100), ((7, 8), None)],  # a container hides our own number
)
def test_own_bytes_on_the_gpu(running: tuple[int, ...], held: int | None) -> None:
    nvml = FakeNvml()
    nvml.running = running
    assert own_bytes(Gpu(nvml, "handle")) == held


def test_this_machine(tmp_path: Path) -> None:
    environment = collect("cpu", tmp_path, threads=1)
    assert environment.hardware.endswith("-1t")
    assert environment.commit is None
    assert environment.device.keys() >= {"affinity", "load_1min"}
    assert not any(name.startswith("gpu") for name in environment.device)


@pytest.mark.gpu
def test_a_real_gpu_tells_what_moves_its_times(cuda: str) -> None:
    facts = device_facts(cuda)
    assert facts.keys() >= {"gpu_driver", "gpu_sm_mhz", "gpu_power_limit_watts", "gpu_clock_reasons", "affinity"}
    assert int(facts["gpu_sm_mhz"]) > 100


def test_processors_without_a_name_are_told_by_maker_and_part(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.record.environment._first_processor", lambda: cpu_info(proc))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    found = []
    for maker, part in (("0x41", "0xd0c"), ("0x41", "0xd4f"), ("0x41", "0xd08"), ("0xc0", "0xac3")):
        write(proc / "cpuinfo", f"processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: {maker}\nCPU part\t: {part}\n")
        found.append(hardware_class("cpu", 4))
    assert found[0] == "cpu-aarch64-0x41-0xd0c-4t"
    assert len(set(found)) == 4


def test_a_quota_of_the_container_is_so_many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.record.environment.affinity", lambda: list(range(8)))
    for quota, cores in ((None, 8), (2.5, 2), (0.5, 1), (16.0, 8)):
        monkeypatch.setattr("bench.record.environment.cpu_quota", lambda quota=quota: quota)
        assert usable_cores() == cores


def test_only_a_checkout_of_its_own_has_a_commit(tmp_path: Path) -> None:
    assert commit(tmp_path) == (None, None)
    assert "git says: fatal: not a git repository" in str(no_commit(tmp_path))
    for words in (
        "init -q", "config user.name x", "config user.email x", "commit -q --allow-empty -m first",
    ):  # fmt: skip
        subprocess.run(["git", "-C", str(tmp_path), *words.split()], check=True)
    (tmp_path / "inside").mkdir()
    head, dirty = commit(tmp_path)
    assert (len(str(head)), dirty, no_commit(tmp_path)) == (40, False, None)
    assert commit(tmp_path / "inside") == (None, None)
    assert f"it lies in that of {tmp_path}" in str(no_commit(tmp_path / "inside"))


def test_git_s_refusal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert "dubious ownership" in str(no_commit(tmp_path))
