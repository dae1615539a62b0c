"""What the judge asks, with the answers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suites._vision.data import Labelled


@dataclass(kw_only=True)
class Exam:
    """asked: images that nobody has trained on, with their labels (-1 where there are none). dense: the base's logits
    of them, where it is what answers are held against. answers: the candidate's, once it has been asked; rng draws
    those that are asked again."""

    asked: Labelled
    rng: np.random.Generator
    dense: NDArray[np.float32] | None = None
    answers: NDArray[np.float32] | None = None

    @property
    def size(self) -> int:
        """Pixels of a side."""
        return self.asked.images.shape[-1]
