"""Memory with names. CPU: peak resident memory of the process above its start. CUDA: the allocator's peaks, and what
lies outside of the allocator."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch

from bench.record import cgroup, nvml


@dataclass
class Peak:
    """Filled when the block ends. above_start: bytes. grown: what the process kept of them once freed heap went back;
    on CUDA, what it kept outside of the allocator. named: every figure that was read, by its name.
    """

    above_start: float = 0.0
    grown: float = 0.0
    named: dict[str, float] = field(default_factory=dict)


def named(peak: Peak, phase: str) -> dict[str, float]:
    """The figures of a peak under the names of a record, e.g. "build.process_peak_above_start"."""
    return {f"{phase}.{name}": value for name, value in peak.named.items()}


@contextmanager
def peak_memory(device: str) -> Iterator[Peak]:
    """Measure the peak memory of a block.

    On the CPU the kernel's own high-water mark of resident memory is reset and read (Linux), so no sampling can miss
    a spike; memory that the process already held and reuses is not counted, as no allocator says. On CUDA the peak
    allocated and reserved bytes of the caching allocator, and what lies outside of it when the block ends: the context,
    libraries, and whatever else did not ask torch; `..._grown` is what the block added to that.
    """
    _give_freed_heap_back()
    peak = Peak()
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
        outside = _outside_allocator(device)
    _reset_high_water()
    start = psutil.Process().memory_info().rss
    try:
        yield peak
    finally:
        process = max(0, _high_water() - start)
        peak.named["process_peak_above_start"] = float(process)
        peak.above_start = float(process)
        _give_freed_heap_back()
        peak.grown = float(psutil.Process().memory_info().rss - start)
        if cuda:
            torch.cuda.synchronize(device)
            peak.named["cuda_peak_allocated"] = float(torch.cuda.max_memory_allocated(device))
            peak.named["cuda_peak_reserved"] = float(torch.cuda.max_memory_reserved(device))
            peak.named["cuda_outside_allocator"] = _outside_allocator(device)
            peak.named["cuda_outside_allocator_grown"] = peak.named["cuda_outside_allocator"] - outside
            peak.above_start = peak.named["cuda_peak_allocated"] - allocated
            peak.grown = peak.named["cuda_outside_allocator_grown"]


def _outside_allocator(device: str) -> float:
    """Bytes on the device that this process holds, or all do if it can't be told apart, less what torch reserved."""
    gpu = nvml.gpu(device)
    used = None if gpu is None else nvml.own_bytes(gpu)
    if used is None:
        free, total = torch.cuda.mem_get_info(device)
        used = total - free
    return float(max(0, used - torch.cuda.memory_reserved(device)))


def _give_freed_heap_back() -> None:
    """So that its reuse counts."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _reset_high_water() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _high_water() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return psutil.Process().memory_info().rss


def free_bytes(device: str) -> float:
    """Bytes that this process can still get on a device: what CUDA and torch's own cache have left, or what the system
    and the container around the process have."""
    if device.startswith("cuda"):
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + cached)
    available = psutil.virtual_memory().available
    limit = cgroup.memory_limit()
    return float(available if limit is None else min(available, limit - psutil.Process().memory_info().rss))


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA's allocator has its own exception; the CPU's raises RuntimeError, and only its words tell."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return any(said in words for said in ("out of memory", "not enough memory", "can't allocate memory", "bad_alloc"))
