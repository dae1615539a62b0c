"""Asks somebody else."""

import socket
from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "PermissionError"


@dataclass(frozen=True)
class ReachesTheNetwork(Method[ArenaTask]):
    """By a socket."""

    card = Card(slug="reaches-the-network", title="reaches-the-network", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        return half(task)
