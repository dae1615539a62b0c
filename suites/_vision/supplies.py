"""Training images as methods get them: by number, under a meter of sample passes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Supply
from suites._vision.data import Labelled

Plain = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (n, 3, size, size) and their labels (n,)."""


class Images(Supply):
    """Labelled images. Asked for by their numbers; each costs one, each time."""

    def __init__(self, images: Labelled, meter: str | None) -> None:
        self._images, self.meter = images, meter

    def __len__(self) -> int:
        return len(self._images)

    def take(self, wanted: Sequence[int]) -> Plain:
        if out := [number for number in wanted if not 0 <= number < len(self)]:
            raise ValueError(f"image {out[0]} of {len(self)}")
        chosen = self._images.part(list(wanted))
        return chosen.images, chosen.labels


class Labels(Supply):
    """The labels of another supply's images, all of them, without the images. Nothing is counted."""

    def __init__(self, images: Labelled) -> None:
        self._labels = images.labels

    def __len__(self) -> int:
        return len(self._labels)

    def take(self, wanted: Any = None) -> NDArray[np.int64]:
        return self._labels
