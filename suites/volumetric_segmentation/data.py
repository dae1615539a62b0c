"""The sets of volumes of the scales, under one name each."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from scipy import __version__ as scipy_version

from bench.contract import only_the_judge
from bench.contract.cache import made_once
from suites._vision import packages
from suites.volumetric_segmentation import brats, heads, template, toy

Split = Literal["train", "test"]

CHANNELS = 4
VERSION = 1
"""Raised when the generator draws otherwise."""

_SEEDS: dict[Split, int] = {"train": 0x7121, "test": 0x7E57}


@dataclass(frozen=True)
class Volumes:
    """images: (n, 4, size, size, size) uint8, of heads.SEQUENCES. labels: (n, size, size, size) uint8, of 0 (nothing)
    and the three parts of a tumour."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, numbers: Sequence[int] | slice) -> "Volumes":
        return Volumes(self.images[numbers], self.labels[numbers])


@dataclass(frozen=True)
class Shape:
    """What is known of a set without reading it. size: voxels of a side. counts: how many volumes; None where the
    user's folder tells."""

    size: int
    counts: tuple[int, int] | None

    def count(self, split: Split) -> int:
        """Raises MissingAsset."""
        return len(brats.cases(split)) if self.counts is None else self.counts[split == "test"]


SHAPES = {
    "toy-16": Shape(toy.SIZE, (24, 12)),
    "icbm-48": Shape(48, (104, 40)),
    "icbm-64": Shape(64, (104, 40)),
    "brats": Shape(brats.SIZE, None),
}


def missing(name: str) -> str | None:
    """What is not there to have the set, with what to do about it, or None. Downloads nothing."""
    if name not in SHAPES:
        return f"there is no set of volumes {name!r}, only {', '.join(SHAPES)}"
    if name == "brats":
        return brats.missing()
    return template.missing() if name.startswith("icbm") else None


@cache
def volumes(name: str, split: Split) -> Volumes:
    """Drawn, or read, once, and kept in the cache: half a minute for 100 heads. Raises MissingAsset, and ValueError
    for a case that is not whole."""
    if name.startswith("toy"):
        return Volumes(*(np.stack(each) for each in zip(*drawn(name, split), strict=True)))
    kept = made_once("data", _kept_as(name, split), lambda folder: _write(folder, name, split))
    return Volumes(*(np.load(kept / f"{each}.npy", mmap_mode="r") for each in ("images", "labels")))


def drawn(name: str, split: Split) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Images and labels of one volume after the other, the same whether they are kept or not. Each has a generator of
    its own."""
    if split == "test":
        only_the_judge("volumes of the test split")
    if name == "brats":
        yield from map(brats.read_case, brats.cases(split))
        return
    shape = SHAPES[name]
    for number in range(shape.count(split)):
        rng = np.random.default_rng([_SEEDS[split], number])
        if name.startswith("toy"):
            yield toy.draw_balls(rng)
        else:
            head = heads.draw_head(rng, template.template(), shape.size)
            yield head.pictures, head.labels


def _write(folder: Path, name: str, split: Split) -> None:
    """Volume by volume: those of a folder may be more than memory holds."""
    size, count = SHAPES[name].size, SHAPES[name].count(split)
    images = open_memmap(folder / "images.npy", "w+", np.uint8, (count, CHANNELS, size, size, size))
    labels = open_memmap(folder / "labels.npy", "w+", np.uint8, (count, size, size, size))
    for number, (pictures, parts) in enumerate(drawn(name, split)):
        images[number], labels[number] = pictures, parts
    images.flush()
    labels.flush()


def _kept_as(name: str, split: Split) -> str:
    """Anything that changes a voxel gives another name."""
    parts = [str(VERSION), str(SHAPES[name]), f"numpy {np.__version__}", f"scipy {scipy_version}"]
    if name == "brats":
        files = [file for case in brats.cases(split) for file in sorted(case.iterdir())]
        parts += [f"{file.parent.name}/{file.name} {file.stat().st_size}" for file in files]
    else:
        parts += packages.installed_versions(template.PACKAGE.values())
    return f"{name}-{split}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"
