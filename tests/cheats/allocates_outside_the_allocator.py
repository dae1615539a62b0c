"""Keeps its tables in memory that no allocator of PyTorch or NumPy knows."""

import ctypes
import mmap
from dataclasses import dataclass
from typing import Any

from arena.methods import Wrapped, card
from arena.suite import ArenaTask
from torch import Tensor, nn

from bench.contract import Limits, Method

REASON = "bytes hidden: the process grew by"
BYTES = 700 * 2**20


class Mapped(Wrapped):
    def __init__(self, task: ArenaTask) -> None:
        super().__init__(task)
        self.table = mmap.mmap(-1, BYTES)
        ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(self.table)), 1, BYTES)

    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * self.table[0]


@dataclass(frozen=True)
class AllocatesOutsideTheAllocator(Method[ArenaTask]):
    """Anonymous memory from the system."""

    card = card("allocates-outside-the-allocator")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Mapped(task)
