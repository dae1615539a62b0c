"""The labelled sets of the scales, under one name each, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from suites._vision import glyphs, hub, mnist, toy
from suites._vision.photographs import Split

TOY = "toy-10"


@dataclass(frozen=True)
class Labelled:
    """images: (n, 3, size, size) uint8. labels: (n,) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, numbers: Sequence[int] | slice) -> "Labelled":
        return Labelled(self.images[numbers], self.labels[numbers])


@dataclass(frozen=True)
class Shape:
    """What is known of a set without reading it. count: of its training images. size: pixels of a side."""

    classes: int
    size: int
    count: int


SHAPES = {
    TOY: Shape(toy.CLASSES, toy.SIZE, toy.COUNTS["train"]),
    "glyph-36": Shape(36, glyphs.SIZE, glyphs.COUNTS["train"]),
    "glyph-62": Shape(62, glyphs.SIZE, glyphs.COUNTS["train"]),
    "mnist-5k": Shape(mnist.CLASSES, mnist.SIZE, 4_000),
    "cifar10": Shape(10, 32, 50_000),
    "cifar100": Shape(100, 32, 50_000),
}


def missing(name: str) -> str | None:
    """What is not there to read the set, with what to do about it, or None. Downloads nothing."""
    if name not in SHAPES:
        return f"there is no set of images {name!r}, only {', '.join(SHAPES)}"
    if name.startswith("cifar"):
        return hub.missing(name)
    if name == "mnist-5k":
        return mnist.missing()
    return glyphs.missing() if name in glyphs.CHARACTERS else None


@cache
def labelled(name: str, split: Split) -> Labelled:
    """Raises MissingAsset."""
    if name == TOY:
        return Labelled(*toy.toy_images(split))
    if name in glyphs.CHARACTERS:
        found = glyphs.glyphs(name, split)
        return Labelled(found.images, found.labels)
    if name == "mnist-5k":
        return Labelled(*mnist.digits(split))
    return Labelled(*hub.cifar(name, split))
