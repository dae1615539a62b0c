"""What the judge asks, with the answers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from suites.volumetric_segmentation.data import Volumes


@dataclass(kw_only=True)
class Exam:
    """asked: volumes that nobody has trained on. held: the validation volumes, which a training step is timed on.
    losses: of the model that was examined, over each of them. answers: its labels of the asked volumes, once it has
    been asked; rng draws those that are asked again.
    """

    asked: Volumes
    held: Volumes
    rng: np.random.Generator
    losses: list[float] = field(default_factory=list)
    answers: NDArray[np.uint8] | None = None
