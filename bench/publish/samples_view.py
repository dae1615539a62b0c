"""All samples of a record as small pictures: one dot a sample, in the order in which they were taken."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.publish.format import quantity

WIDTH, HEIGHT, EDGE = 320, 72, 4
MOST = 1000
"""More samples than this are thinned out, evenly."""


@dataclass(frozen=True)
class Strip:
    """One picture. paths: an SVG path of dots for each series, by its name. every: 1, or that each k-th is drawn."""

    title: str
    paths: Sequence[tuple[str, str]]
    low: str
    high: str
    n: int
    every: int
    left_out: int
    width: int = WIDTH
    height: int = HEIGHT


def strip(title: str, series: Sequence[tuple[str, Sequence[float]]], unit: str) -> Strip | None:
    """Series over their index, on a common scale; None without a finite sample."""
    n = max((len(samples) for _, samples in series), default=0)
    every = max(1, math.ceil(n / MOST))
    kept = [(name, np.asarray(samples[::every], dtype=np.float64)) for name, samples in series]
    finite = np.concatenate([values[np.isfinite(values)] for _, values in kept]) if kept else np.array([])
    if not len(finite):
        return None
    low, high = float(finite.min()), float(finite.max())
    span = (high - low) or 1.0
    step = (WIDTH - 2 * EDGE) / max(1, math.ceil(n / every) - 1)
    paths = []
    for name, values in kept:
        at = np.flatnonzero(np.isfinite(values))
        x = np.rint(EDGE + at * step).astype(int).tolist()
        share = (values[at] - low) / span
        y = np.rint(HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE)).astype(int).tolist()
        paths.append((name, "".join(f"M{a} {b}h0" for a, b in zip(x, y, strict=True))))
    total = sum(len(values) for _, values in kept)
    return Strip(title, paths, quantity(low, unit), quantity(high, unit), n, every, total - len(finite))
