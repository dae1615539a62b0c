"""Real handwriting: 5,000 digits of MNIST (LeCun et al., 1998), 500 of each class, from a package."""

import gzip

import numpy as np
from numpy.typing import NDArray

from bench.contract import MissingAsset
from suites._vision import packages
from suites._vision.photographs import Split

CLASSES, SIZE = 10, 32
_SIDE = 28
_TEST = 1_000


def missing() -> str | None:
    """What is not installed, with the line that mends it."""
    return packages.missing(packages.HANDWRITING.items())


def digits(split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 3, 32, 32), grey with a rim of black, and labels (n,): 4,000 to train on and 1,000. Raises
    MissingAsset."""
    name, requirement = next(iter(packages.HANDWRITING.items()))
    file = packages.folder_of(name, requirement) / "data" / "data" / "mnist_5k.csv.gz"
    if not file.is_file():
        raise MissingAsset(f"{name} is installed without {file.name}; {packages.install([requirement])}")
    with gzip.open(file, "rt") as opened:
        table = np.loadtxt(opened, delimiter=",", dtype=np.float64).astype(np.int64)
    # They lie class by class.
    table = table[np.random.default_rng(0x3157).permutation(len(table))]
    table = table[:_TEST] if split == "test" else table[_TEST:]
    grey = table[:, :-1].astype(np.uint8).reshape(-1, 1, _SIDE, _SIDE)
    rim = (SIZE - _SIDE) // 2
    framed = np.pad(grey, ((0, 0), (0, 0), (rim, rim), (rim, rim)))
    return framed.repeat(3, axis=1), table[:, -1]
