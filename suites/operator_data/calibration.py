"""Systems that a method may tune on; made when they are drawn."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bench.contract import Supply
from suites.operator_data.equations import draw_sequence
from suites.operator_data.system import Plain

MOST = 4096
"""Of one grid; more than any operating point allows."""


@dataclass(frozen=True)
class CalibrationSystems(Supply):
    """Systems of an equation on some grids. Asked for by (grid, systems): the first so many come, as plain data."""

    meter: ClassVar[str | None] = "calibration_systems"

    equation: str
    grids: tuple[int, ...]
    seed: int

    def __len__(self) -> int:
        return MOST

    def take(self, wanted: tuple[int, int]) -> list[Plain]:
        grid, systems = wanted
        if grid not in self.grids or not 0 <= systems <= MOST:
            raise ValueError(f"{systems} systems of grid {grid}: there are {MOST} of each of {self.grids}")
        rng = np.random.default_rng([self.seed, grid])
        return [system.plain() for system in draw_sequence(self.equation, grid, systems, rng)]

    def amount(self, wanted: Any) -> int:
        return int(wanted[1])
