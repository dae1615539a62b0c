"""Candidates that do what a test says, and sides whose times a test says."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.contract import Served, Step, Workload
from bench.measure.clock import Reading
from bench.measure.side import SideHere


class Toy(Served[Callable[..., Any]]):
    """A candidate is a function; a step calls it with its inputs."""

    def do(self, *inputs: Any) -> Any:
        return self.candidate(*inputs)


@contextmanager
def sides(
    candidate: Callable[..., Any], baseline: Callable[..., Any], device: str = "cpu"
) -> Iterator[tuple[SideHere, SideHere]]:
    """Both in this process, under the real clock."""
    with SideHere(Toy(candidate, device), device) as mine, SideHere(Toy(baseline, device), device) as theirs:
        yield mine, theirs


@dataclass
class ToldSide(SideHere):
    """Its clock believes what a step returns: a Reading, or plain seconds."""

    def run(self) -> Reading:
        self.keep(self.everything())
        told = self.result()
        return told if isinstance(told, Reading) else reading(told)


@contextmanager
def told_sides(candidate: Callable[..., Any], baseline: Callable[..., Any]) -> Iterator[tuple[SideHere, SideHere]]:
    with ToldSide(Toy(candidate, "cpu")) as mine, ToldSide(Toy(baseline, "cpu")) as theirs:
        yield mine, theirs


def reading(seconds: float, lost: float = 0.0, waited: float = 0.0) -> Reading:
    return Reading(seconds, lost, None, seconds, seconds, waited)


def workload(*inputs: Any, trials: int = 1, phase: str = "call", units: float = 1.0, **options: Any) -> Workload:
    """So many trials, as long as nothing ends them earlier, of one step on these inputs."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        yield Step(phase, "do", inputs, units)

    limits: Mapping[str, Any] = {"min_trials": trials, "max_trials": trials} | options
    return Workload("calls", trial, **limits)
