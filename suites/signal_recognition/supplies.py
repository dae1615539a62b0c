"""Training signals as methods get them: by number, under a meter of sample passes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Supply
from suites.signal_recognition.signals import Labelled

Plain = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Signals (n, 2, samples) and their labels (n,)."""


class Signals(Supply):
    """Labelled signals. Asked for by their numbers; each costs one, each time."""

    def __init__(self, signals: Labelled, meter: str | None) -> None:
        self._signals, self.meter = signals, meter

    def __len__(self) -> int:
        return len(self._signals)

    def take(self, wanted: Sequence[int]) -> Plain:
        if out := [number for number in wanted if not 0 <= number < len(self)]:
            raise ValueError(f"signal {out[0]} of {len(self)}")
        chosen = self._signals.part(list(wanted))
        return chosen.signals, chosen.labels


class Labels(Supply):
    """What is known of another supply's signals without them, all of it: `labels` and `snr` (n,). Nothing is
    counted."""

    def __init__(self, signals: Labelled) -> None:
        self._signals = signals

    def __len__(self) -> int:
        return len(self._signals)

    def take(self, wanted: Any = None) -> Mapping[str, NDArray[np.int64]]:
        return {"labels": self._signals.labels, "snr": self._signals.snr}
