"""The tiny scale: volumes that need no package. A tumour is three balls in one another, as bright in each sequence as
its part says, under noise; a second ball is none of it."""

import numpy as np
from numpy.typing import NDArray

SIZE = 16

_BRIGHTNESS = np.array([[120, 60, 100, 110], [120, 70, 110, 200], [110, 210, 180, 160], [110, 100, 200, 160]])
"""(sequences, labels)"""
_NOISE = 15.0


def draw_balls(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures (4, 16, 16, 16) and labels (16, 16, 16)."""
    grid = np.stack(np.indices((SIZE,) * 3))
    centre, radius = rng.uniform(5, 11, 3), rng.uniform(4.0, 5.5)
    distance = np.linalg.norm(grid - centre[:, None, None, None], axis=0) / radius
    labels = np.select([distance < 0.4, distance < 0.7, distance < 1], [1, 3, 2], 0).astype(np.uint8)
    pictures = _BRIGHTNESS[:, labels] + rng.normal(0, _NOISE, (4, *labels.shape))
    other = (np.linalg.norm(grid - rng.uniform(0, 16, (3, 1, 1, 1)), axis=0) < 2) & (labels == 0)
    pictures += 60 * other
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8), labels
