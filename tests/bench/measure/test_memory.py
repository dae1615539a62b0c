"""Peaks against allocations of known size."""

import ctypes
import mmap
from collections.abc import Callable

import numpy as np
import psutil
import pytest
import torch

from bench.measure.memory import free_bytes, peak_memory
from bench.record import cgroup

MIB = 2**20


SIZE = 128 * MIB


def of_torch() -> None:
    torch.ones(SIZE // 4).sum()


def of_numpy() -> None:
    np.ones(SIZE // 8).sum()


def of_the_system() -> None:
    with mmap.mmap(-1, SIZE) as pages:
        for page in range(0, SIZE, mmap.PAGESIZE):
            pages[page] = 1


def of_many_small_ones() -> None:
    assert sum(map(len, [bytes(1024) for _ in range(SIZE // 1024)])) == SIZE


@pytest.mark.parametrize("allocate", [of_torch, of_numpy, of_the_system])
def test_peak_memory_is_what_was_allocated_and_let_go(allocate: Callable[[], None]) -> None:
    with peak_memory("cpu") as peak:
        allocate()
    assert peak.above_start == pytest.approx(SIZE, rel=0.05)
    assert peak.grown < 0.05 * SIZE


def test_small_allocations_are_seen_with_what_the_allocator_adds() -> None:
    with peak_memory("cpu") as peak:
        of_many_small_ones()
    assert 0.98 * SIZE < peak.above_start < 1.15 * SIZE  # some of them go where the heap had room


def test_memory_that_a_block_keeps_has_grown() -> None:
    with peak_memory("cpu") as peak:
        kept = torch.ones(SIZE // 4)
    assert peak.grown == pytest.approx(SIZE, rel=0.05)
    del kept


def test_heap_that_was_freed_before_is_counted_when_it_is_used_again() -> None:
    freed = [bytes(1024) for _ in range(SIZE // 1024)]
    top = bytes(1024)  # above them, so that the heap does not shrink by itself
    del freed
    with peak_memory("cpu") as peak:
        of_many_small_ones()
    assert peak.above_start > 0.7 * SIZE  # some find room between what other tests have left
    assert len(top) == 1024


def test_free_memory_is_within_what_the_machine_and_its_container_have(monkeypatch: pytest.MonkeyPatch) -> None:
    resident_now = psutil.Process().memory_info().rss
    assert 0 < free_bytes("cpu") <= psutil.virtual_memory().total
    monkeypatch.setattr(cgroup, "memory_limit", lambda: resident_now + 10 * MIB)
    assert free_bytes("cpu") <= 12 * MIB


@pytest.mark.gpu
def test_gpu_peaks_by_name(cuda: str) -> None:
    torch.ones(1, device=cuda)
    with peak_memory(cuda) as peak:
        torch.ones(SIZE // 4, device=cuda).sum()
    assert peak.above_start == pytest.approx(SIZE, rel=0.05)
    assert peak.named["cuda_peak_reserved"] >= peak.named["cuda_peak_allocated"] >= SIZE
    assert peak.named["cuda_outside_allocator_grown"] < 0.05 * SIZE


@pytest.mark.gpu
def test_gpu_memory_that_did_not_ask_torch_is_seen(cuda: str) -> None:
    driver = ctypes.CDLL("libcuda.so.1")
    torch.ones(1, device=cuda)  # makes a context, in which the driver then allocates
    address = ctypes.c_uint64()
    with peak_memory(cuda) as peak:
        assert driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(SIZE)) == 0
    driver.cuMemFree_v2(address)
    assert peak.named["cuda_outside_allocator_grown"] == pytest.approx(SIZE, rel=0.1)


def test_peak_memory_of_nothing_is_nothing() -> None:
    with peak_memory("cpu") as peak:
        pass
    assert peak.above_start < 4 * MIB
