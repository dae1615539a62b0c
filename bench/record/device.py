"""Facts of the machine that can move a time: clocks, limits, heat, neighbours. Read before a run and after it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench.record import cgroup, nvml
from bench.record.cgroup import read
from bench.record.nvml import Gpu

_CLOCK_REASONS = {
    0x1: "idle",
    0x2: "applications clocks",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clock",
}


_OF_KERNELS = (
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "NPY_DISABLE_CPU_FEATURES",
    "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE",
)  # fmt: skip
"""Variables that keep libraries from the instructions that the processor has."""


def kernels() -> str:
    """The settings of such variables, "" where there are none."""
    return " ".join(f"{name}={os.environ[name]}" for name in _OF_KERNELS if os.environ.get(name))


def device_facts(device: str) -> dict[str, str]:
    """Facts by name, in words and units for people; what can't be read here is left out.

    Of the host always, of the GPU (gpu_...) where `device` is one. Counters (steal_seconds, throttled_periods,
    thermal_events, gpu_lost_to_...) count since the machine started: the difference of two readings is a run's.
    """
    return cpu_facts() | (gpu_facts(device) if device.startswith("cuda") else {})


def cpu_info(proc: Path = Path("/proc")) -> dict[str, str]:
    """What Linux tells of the first processor, by its words; nothing where that can't be read."""
    first = (read(proc / "cpuinfo") or "").split("\n\n")[0]
    lines = [line.partition(":") for line in first.splitlines()]
    return {name.strip(): value.strip() for name, _, value in lines}


def cpu_facts(sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> dict[str, str]:
    """Facts of the processors and of the container around this process."""
    cpus = sys / "devices/system/cpu"
    cores = cgroup.affinity()
    facts: dict[str, str | None] = {
        "generation": _generation(proc),
        "kernels": kernels(),
        "load_1min": (read(proc / "loadavg") or "").split(" ")[0],
        "governor": _all(read(cpus / f"cpu{core}/cpufreq/scaling_governor") for core in cores),
        "mhz": _megahertz(cpus, cores),
        "max_mhz": _thousandth(read(cpus / f"cpu{cores[0]}/cpufreq/cpuinfo_max_freq")),
        "boost": _boost(cpus),
        "smt": _word(read(cpus / "smt/active"), {"1": "on", "0": "off"}),
        "affinity": _ranges(cores),
        "steal_seconds": _steal(proc),
        "thermal_events": _thermal_events(cpus, cores),
    }
    quota, limit = cgroup.cpu_quota(sys, proc), cgroup.memory_limit(sys, proc)
    if quota is not None:
        facts["cpu_quota"] = f"{quota:g}"
    if limit is not None:
        facts["memory_limit_bytes"] = str(limit)
    stopped = [_line(read(path), "nr_throttled") for path in cgroup.throttled_periods(sys, proc)]
    if stopped:
        facts["throttled_periods"] = str(sum(stopped))
    return {name: value for name, value in facts.items() if value}


def gpu_facts(device: str, gpu: Gpu | None = None) -> dict[str, str]:
    """Facts of one GPU, by NVML."""
    import torch

    gpu = gpu or nvml.gpu(device)
    if gpu is None:
        return {"gpu": "NVML can't be used: its facts are not known"}
    facts = {}
    for name, question, arguments, words in _questions(gpu):
        answer = gpu.ask(question, *arguments)
        if answer is not None:
            facts[f"gpu_{name}"] = words(answer)
    facts |= {
        "gpu_driver": str(gpu.nvml.nvmlSystemGetDriverVersion()),
        "gpu_cuda_driver": _version(gpu.nvml.nvmlSystemGetCudaDriverVersion()),
    }
    facts["gpu_cuda_runtime"] = str(torch.version.cuda)
    others = other_processes(gpu)
    if others is not None:
        facts["gpu_other_processes"] = str(others)
    return facts


def other_processes(gpu: Gpu) -> int | None:
    """How many other processes compute on the GPU; None where that can't be asked (MIG).

    A container may hide our own number from us: once this process uses CUDA and none of the numbers is ours, one is.
    """
    running = gpu.ask("ComputeRunningProcesses")
    if running is None:
        return None
    import torch

    numbers = {process.pid for process in running}
    ours = os.getpid() in numbers or torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return max(0, len(numbers) - ours)


def _questions(gpu: Gpu) -> list[tuple[str, str, tuple[Any, ...], Callable[[Any], str]]]:
    """(name of the fact, NVML's question, its arguments, answer -> words)."""
    sm, memory = gpu.nvml.NVML_CLOCK_SM, gpu.nvml.NVML_CLOCK_MEM
    heat, power = gpu.nvml.NVML_PERF_POLICY_THERMAL, gpu.nvml.NVML_PERF_POLICY_POWER
    return [
        ("sm_mhz", "ClockInfo", (sm,), str),
        ("memory_mhz", "ClockInfo", (memory,), str),
        ("max_sm_mhz", "MaxClockInfo", (sm,), str),
        ("max_memory_mhz", "MaxClockInfo", (memory,), str),
        ("applications_sm_mhz", "ApplicationsClock", (sm,), str),
        ("applications_memory_mhz", "ApplicationsClock", (memory,), str),
        ("power_watts", "PowerUsage", (), _watts),
        ("power_limit_watts", "EnforcedPowerLimit", (), _watts),
        ("default_power_limit_watts", "PowerManagementDefaultLimit", (), _watts),
        ("celsius", "Temperature", (gpu.nvml.NVML_TEMPERATURE_GPU,), str),
        ("clock_reasons", "CurrentClocksThrottleReasons", (), _clock_reasons),
        ("lost_to_heat_seconds", "ViolationStatus", (heat,), _lost),
        ("lost_to_power_seconds", "ViolationStatus", (power,), _lost),
        ("ecc", "EccMode", (), _current),
        ("mig", "MigMode", (), _current),
        ("persistence", "PersistenceMode", (), _on),
        ("memory_bytes", "MemoryInfo", (), lambda memory: str(memory.total)),
        ("memory_used_bytes", "MemoryInfo", (), lambda memory: str(memory.used)),
    ]


def _watts(milliwatts: int) -> str:
    return f"{milliwatts / 1000:.0f}"


def _lost(status: Any) -> str:
    return f"{status.violationTime / 1e9:.3f}"


def _on(flag: int) -> str:
    return "on" if flag else "off"


def _current(modes: Any) -> str:
    """NVML gives (current, pending)."""
    return _on(modes[0])


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _clock_reasons(bits: int) -> str:
    return ", ".join(words for bit, words in _CLOCK_REASONS.items() if bits & bit) or "none"


def _all(words: Any) -> str | None:
    """The different words, joined."""
    return ", ".join(sorted({word for word in words if word})) or None


def _word(text: str | None, words: dict[str, str]) -> str | None:
    return words.get(text or "")


def _thousandth(text: str | None) -> str | None:
    return f"{int(text) / 1000:.0f}" if text and text.isdigit() else None


def _generation(proc: Path) -> str:
    """Family, model and stepping, which tell processors apart that go by one name."""
    info = cpu_info(proc)
    return "-".join(info[name] for name in ("cpu family", "model", "stepping") if name in info)


def _megahertz(cpus: Path, cores: list[int]) -> str | None:
    """Mean clock of our processors now; psutil's where the kernel does not scale it (a virtual machine)."""
    clocks = [read(cpus / f"cpu{core}/cpufreq/scaling_cur_freq") for core in cores]
    known = [int(clock) for clock in clocks if clock and clock.isdigit()]
    if known:
        return f"{sum(known) / len(known) / 1000:.0f}"
    frequency = psutil.cpu_freq()
    return f"{frequency.current:.0f}" if frequency is not None else None


def _boost(cpus: Path) -> str | None:
    return _word(read(cpus / "cpufreq/boost"), {"1": "on", "0": "off"}) or _word(
        read(cpus / "intel_pstate/no_turbo"), {"0": "on", "1": "off"}
    )


def _steal(proc: Path) -> str | None:
    """Seconds that the hypervisor gave to others while we wanted to run, all processors together."""
    fields = (read(proc / "stat") or "").split("\n", 1)[0].split()
    return f"{int(fields[8]) / os.sysconf('SC_CLK_TCK'):.2f}" if len(fields) > 8 else None


def _thermal_events(cpus: Path, cores: list[int]) -> str | None:
    counts = [read(cpus / f"cpu{core}/thermal_throttle/core_throttle_count") for core in cores]
    known = [int(count) for count in counts if count]
    return str(sum(known)) if known else None


def _line(text: str | None, key: str) -> int:
    """The number behind `key` in lines of "key number"."""
    return next((int(line.split()[1]) for line in (text or "").splitlines() if line.split()[0] == key), 0)


def _ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 5] -> "0-2,5"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
