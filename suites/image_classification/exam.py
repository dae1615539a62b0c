"""What the judge asks, with the answers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from suites._vision.data import Labelled


@dataclass(kw_only=True)
class Exam:
    """clean, corrupted: images in fonts and on photographs that nobody has trained on. held: the validation images,
    which a training step of `batch` is timed on. losses: of the model that was examined, over each batch of them.
    answers: its logits of the clean images, once it has been asked; rng draws those that are asked again.
    """

    clean: Labelled
    corrupted: Labelled
    held: Labelled
    batch: int
    rng: np.random.Generator
    losses: list[float] = field(default_factory=list)
    answers: NDArray[np.float32] | None = None

    @property
    def size(self) -> int:
        """Pixels of a side."""
        return self.clean.images.shape[-1]
