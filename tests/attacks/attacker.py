"""The method that does it: an honest build, after the attack that attack.json names."""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

from arena.methods import card, half
from arena.suite import ArenaTask
from host import Host
from torch import nn

from bench.contract import Limits, Method


@dataclass(frozen=True)
class Attacker(Method[ArenaTask]):
    """Whatever happens to the attack is its author's problem."""

    card = card("attacker")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        order = json.loads(Path(__file__).with_name("attack.json").read_text())
        importlib.import_module(order["attack"]).attack(Host(**order["host"]))
        return half(task)
