"""Real photographs, from packages, split by scene: two views of one thing never stand on two sides."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.contract import MissingAsset
from suites._vision import packages

Split = Literal["train", "test"]
Picture = NDArray[np.uint8]
"""(height, width, 3)"""

LONGEST = 640
"""Pixels of the longer side; what is larger is reduced to that."""

_TOOLBOX, _SCIKIT = "mvtbdata/images", "skimage/data"

SCENES: Mapping[Split, Mapping[str, Sequence[str]]] = {
    "train": {
        "campus": [f"{_TOOLBOX}/campus/P10704{number}.png" for number in (91, 93, 94, 95, 96, 97, 98, 99)],
        "flowers": [f"{_TOOLBOX}/flowers{number}.png" for number in range(1, 10)],
        "building": [f"{_TOOLBOX}/building2-{number}.png" for number in (1, 2, 3)],
        "church": [f"{_TOOLBOX}/church.jpg", f"{_TOOLBOX}/church.png"],
        "parks": [f"{_TOOLBOX}/parks.png"],
        "rocks": [f"{_TOOLBOX}/rocks2-l.png", f"{_TOOLBOX}/rocks2-r.png"],
        "walls": [f"{_TOOLBOX}/walls-l.png", f"{_TOOLBOX}/walls-r.png"],
        "street": [f"{_TOOLBOX}/street.png"],
        "coffee": [f"{_SCIKIT}/coffee.png"],
        "astronaut": [f"{_SCIKIT}/astronaut.png"],
        "motorcycle": [f"{_SCIKIT}/motorcycle_left.png", f"{_SCIKIT}/motorcycle_right.png"],
        "hubble": [f"{_SCIKIT}/hubble_deep_field.jpg"],
        "tissue": [f"{_SCIKIT}/ihc.png"],
        "gravel": [f"{_SCIKIT}/gravel.png"],
    },
    "test": {
        "eiffel": [f"{_TOOLBOX}/eiffel-1.png", f"{_TOOLBOX}/eiffel-2.png"],
        "notre-dame": [f"{_TOOLBOX}/notre-dame.png"],
        "road": [f"{_TOOLBOX}/road.png"],
        "roof": [f"{_TOOLBOX}/roof.png"],
        "tomatoes": [f"{_TOOLBOX}/tomato_{number}.png" for number in (124, 14, 35, 54)],
        "cat": [f"{_SCIKIT}/chelsea.png"],
        "rocket": [f"{_SCIKIT}/rocket.jpg"],
        "retina": [f"{_SCIKIT}/retina.jpg"],
        "brick": [f"{_SCIKIT}/brick.png"],
        "grass": [f"{_SCIKIT}/grass.png"],
    },
}
"""Scene -> its pictures, by the package's folder and the path in it. Only such as may be shown."""


def missing() -> str | None:
    """What is not installed, with the line that mends it."""
    return packages.missing(packages.PHOTOGRAPHS.items())


def photographs(split: Split, longest: int = LONGEST) -> list[list[Picture]]:
    """The pictures of each scene, RGB. Raises MissingAsset if a package or a picture in it is not there."""
    return [[_read(path, longest) for path in paths] for paths in SCENES[split].values()]


def crop(pictures: Sequence[Sequence[Picture]], rng: np.random.Generator, least: int, most: int, size: int) -> Picture:
    """A random square of `least` to `most` pixels of a random picture, each scene as likely as another, brought to
    (size, size, 3)."""
    scene = pictures[rng.integers(len(pictures))]
    picture = scene[rng.integers(len(scene))]
    side = min(int(rng.integers(least, most + 1)), *picture.shape[:2])
    top, left = (int(rng.integers(whole - side + 1)) for whole in picture.shape[:2])
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.BOX if side > size else Image.Resampling.BILINEAR))


def crops(split: Split, count: int, size: int, seed: int) -> NDArray[np.uint8]:
    """(count, 3, size, size): squares of photographs, at least `size` pixels large there where the picture is."""
    pictures = photographs(split, longest=max(LONGEST, 2 * size))
    rng = np.random.default_rng([seed, 0xC409])
    found = [crop(pictures, rng, size, 2 * size, size) for _ in range(count)]
    return np.stack(found).transpose(0, 3, 1, 2).copy()


def _read(path: str, longest: int) -> Picture:
    package, _, rest = path.partition("/")
    requirement = packages.PHOTOGRAPHS[package]
    file = packages.folder_of(package, requirement) / rest
    if not file.is_file():
        raise MissingAsset(
            f"{requirement.partition('==')[0]} is installed without {rest}; {packages.install([requirement])}"
        )
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    factor = max(picture.size) / longest
    if factor > 1:
        smaller = (max(1, round(picture.width / factor)), max(1, round(picture.height / factor)))
        picture = picture.resize(smaller, Image.Resampling.BOX)
    return np.asarray(picture)
