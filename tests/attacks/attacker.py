"""The method that does it: an honest build, after the attack that attack.json names."""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

from host import Host
from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method


@dataclass(frozen=True)
class Attacker(Method[ArenaTask]):
    """Whatever happens to the attack is its author's problem."""

    card = Card(slug="attacker", title="Attacker", paper="none", control=True)

    def build(self, task: ArenaTask) -> nn.Module:
        order = json.loads(Path(__file__).with_name("attack.json").read_text())
        importlib.import_module(order["attack"]).attack(Host(**order["host"]))
        return half(task)
