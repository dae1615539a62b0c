"""Rows as methods get them: by number, under a meter."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.contract import Supply
from suites.ctr_prediction.fields import Rows

Plain = tuple[NDArray[np.int32], NDArray[np.float32]]
"""ids (n, slots) and clicks (n,)."""


class RowSupply(Supply):
    """Rows, asked for by their numbers; each costs one, each time."""

    def __init__(self, rows: Rows, meter: str | None) -> None:
        self._rows, self.meter = rows, meter

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, wanted: Sequence[int]) -> Plain:
        if out := [number for number in wanted if not 0 <= number < len(self)]:
            raise ValueError(f"row {out[0]} of {len(self)}")
        chosen = self._rows.part(np.asarray(wanted, dtype=np.int64))
        return chosen.ids, chosen.clicks
