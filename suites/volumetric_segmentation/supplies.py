"""Training volumes as methods get them: by number, under a meter of sample passes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Supply
from suites.volumetric_segmentation.data import Volumes

Plain = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (n, 4, size, size, size) and labels (n, size, size, size)."""


class VolumeSupply(Supply):
    """Labelled volumes. Asked for by their numbers; each costs one, each time."""

    def __init__(self, volumes: Volumes, meter: str | None) -> None:
        self._volumes, self.meter = volumes, meter

    def __len__(self) -> int:
        return len(self._volumes)

    def take(self, wanted: Sequence[int]) -> Plain:
        if out := [number for number in wanted if not 0 <= number < len(self)]:
            raise ValueError(f"volume {out[0]} of {len(self)}")
        chosen = self._volumes.part(list(wanted))
        return np.array(chosen.images), np.array(chosen.labels)


class LabelSupply(Supply):
    """The labels of another supply's volumes, without the images; nothing is counted."""

    def __init__(self, volumes: Volumes) -> None:
        self._labels = volumes.labels

    def __len__(self) -> int:
        return len(self._labels)

    def take(self, wanted: Any = None) -> NDArray[np.uint8]:
        return np.array(self._labels)
