"""Labelled signals as arrays, and what no signal may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "test"]

LENGTH = 128
"""Samples of a signal."""

CLIPPED = 0.1
"""Of a signal's numbers, the share that may lie exactly at its largest magnitude, before it counts as clipped."""


class BadSignals(ValueError):
    """Signals that can't be recognised, whatever the method; the message says which and why."""


@dataclass(frozen=True)
class Labelled:
    """signals: (n, 2, LENGTH) float32, in-phase and quadrature, at unit mean power each. labels: (n,) int64. snr: (n,)
    int64, dB."""

    signals: NDArray[np.float32]
    labels: NDArray[np.int64]
    snr: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, numbers: Sequence[int] | slice) -> "Labelled":
        return Labelled(self.signals[numbers], self.labels[numbers], self.snr[numbers])


def checked(signals: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """The same at unit mean power. where: names them in the sentence. Raises BadSignals for signals that are short,
    long, no numbers, silent or clipped."""
    if signals.ndim != 3 or signals.shape[1:] != (2, LENGTH):
        raise BadSignals(f"{where}: signals are (n, 2, {LENGTH}), I and Q; these are {tuple(signals.shape)}")
    flat = signals.reshape(len(signals), -1)
    if (bad := np.flatnonzero(~np.isfinite(flat).all(axis=1))).size:
        raise BadSignals(f"{where}: signal {bad[0]} has samples that are no finite numbers")
    peak = np.abs(flat).max(axis=1, keepdims=True)
    if (bad := np.flatnonzero(peak == 0)).size:
        raise BadSignals(f"{where}: signal {bad[0]} is silent, all its samples are 0")
    at_peak = (np.abs(flat) == peak).mean(axis=1)
    if (bad := np.flatnonzero(at_peak > CLIPPED)).size:
        raise BadSignals(
            f"{where}: signal {bad[0]} is clipped, {at_peak[bad[0]]:.0%} of its numbers lie at its largest magnitude: "
            "record it again with less gain"
        )
    power = np.mean(np.square(flat, dtype=np.float64), axis=1) * 2
    return (signals / np.sqrt(power)[:, None, None]).astype(np.float32)
