"""The tiny scale: images that need no package. A class is a pattern of coarse squares, shifted, under noise."""

import numpy as np
from numpy.typing import NDArray

from bench.contract import only_the_judge
from suites._vision.photographs import Split

CLASSES, SIZE = 10, 16
COUNTS: dict[Split, int] = {"train": 200, "test": 80}

_SQUARES = 4
_NOISE = 20.0
_SEEDS: dict[Split, int] = {"train": 1, "test": 2}


def toy_images(split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(n, 3, 16, 16) and (n,), each class equally often."""
    if split == "test":
        only_the_judge("the toy images of the test split")
    patterns = np.random.default_rng(0).uniform(40, 215, (CLASSES, 3, _SQUARES, _SQUARES))
    rng = np.random.default_rng(_SEEDS[split])
    labels = rng.permutation(np.arange(COUNTS[split]) % CLASSES)
    coarse = patterns[labels].repeat(SIZE // _SQUARES, axis=2).repeat(SIZE // _SQUARES, axis=3)
    # So that no mean over the images of a class tells what is where.
    shifted = np.stack([np.roll(each, tuple(rng.integers(SIZE, size=2)), (1, 2)) for each in coarse])
    noisy = shifted + rng.normal(0, _NOISE, shifted.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), labels.astype(np.int64)
