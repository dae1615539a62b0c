"""CUDA: keeps its tables in memory that it asked the driver for."""

import ctypes
from dataclasses import dataclass
from typing import Any

from arena.methods import Wrapped, card
from arena.suite import ArenaTask
from torch import Tensor, nn

from bench.contract import Limits, Method

REASON = "bytes hidden: the process grew by"
DEVICE = "cuda"
BYTES = 700 * 2**20


class Driven(Wrapped):
    def __init__(self, task: ArenaTask) -> None:
        super().__init__(task)
        self.address = ctypes.c_uint64()
        failed = ctypes.CDLL("libcuda.so.1").cuMemAlloc_v2(ctypes.byref(self.address), ctypes.c_size_t(BYTES))
        assert not failed

    def forward(self, x: Tensor) -> Any:
        return super().forward(x)


@dataclass(frozen=True)
class AllocatesOutsideTheAllocatorOnCuda(Method[ArenaTask]):
    """From the driver, past torch."""

    card = card("allocates-outside-the-allocator-on-cuda")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Driven(task)
