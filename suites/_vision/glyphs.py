"""glyph-36 and glyph-62: a character in a random font on a piece of a photograph, by a stated generator.

Drawn at 64 pixels: 36 to 48 pixels high, turned by up to 12 degrees, sheared by up to 0.2, scaled by 0.9 to 1.25,
shifted by up to 4 pixels. Brought to 32 pixels, where its share of each pixel is the mask. Painted in a random colour
whose brightness is at least 45 levels away from the ground's mean; the ground is a square of 32 to 64 pixels. Noise
with a deviation of 0 to 14 levels. Everything comes from one seed, and is the same to the bit on a second run. Fonts
are split by family and photographs by scene.
"""

import hashlib
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL import __version__ as pillow_version

from bench.contract import only_the_judge
from bench.contract.cache import made_once
from suites._vision import packages, photographs
from suites._vision.fonts import Font, fonts, needed
from suites._vision.photographs import Picture, Split, crop

CHARACTERS: dict[str, str] = {
    "glyph-36": string.digits + string.ascii_uppercase,
    "glyph-62": string.digits + string.ascii_uppercase + string.ascii_lowercase,
}
SIZE = 32
COUNTS: dict[Split, int] = {"train": 12_000, "test": 3_000}
VERSION = 2
"""Raised when the generator draws otherwise."""

_CANVAS = 64
_HEIGHTS = (36, 48)
_GROUND = (32, 64)
_DEGREES, _SHEAR, _SCALE, _SHIFT = 12.0, 0.2, (0.9, 1.25), 4.0
_APART = 45.0
_NOISE = 14.0
_BRIGHTNESS = np.array([0.299, 0.587, 0.114])
_SEEDS: dict[Split, int] = {"train": 0x7121, "test": 0x7E57}


@dataclass(frozen=True)
class Glyphs:
    """images: (n, 3, 32, 32) uint8. labels: (n,) int64, of CHARACTERS. masks: (n, 32, 32) uint8, the character's share
    of each pixel in 255ths."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8]


def missing() -> str | None:
    """What is not installed, with the line that mends it."""
    return packages.missing([*packages.PHOTOGRAPHS.items(), *needed()])


def glyphs(name: str, split: Split) -> Glyphs:
    """The data set, from the cache; drawn where it is not there whole: a quarter of a minute. Raises MissingAsset."""
    kept = made_once("data", _cached_as(name, split), lambda folder: _write(folder, name, split))
    with np.load(kept / "glyphs.npz") as found:
        return Glyphs(found["images"], found["labels"], found["masks"])


def draw(name: str, split: Split, count: int, seed: int) -> Glyphs:
    """`count` images, each class as often as another but for one. Raises MissingAsset."""
    if split == "test":
        only_the_judge("characters in fonts and on photographs of the test split")
    rng = np.random.default_rng([seed, _SEEDS[split]])
    pictures, families = photographs.photographs(split), fonts(split)
    labels = rng.permutation(np.arange(count) % len(CHARACTERS[name]))
    drawn = [_one(rng, CHARACTERS[name][label], pictures, families) for label in labels]
    images = np.stack([image for image, _ in drawn]).transpose(0, 3, 1, 2)
    return Glyphs(np.ascontiguousarray(images), labels.astype(np.int64), np.stack([mask for _, mask in drawn]))


def _one(
    rng: np.random.Generator,
    character: str,
    pictures: Sequence[Sequence[Picture]],
    families: Sequence[Sequence[Font]],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    family = families[rng.integers(len(families))]
    mask = _mask(rng, character, family[rng.integers(len(family))])
    ground = crop(pictures, rng, *_GROUND, SIZE).astype(np.float64)
    share = mask[..., None] / 255.0
    image = ground * (1 - share) + _colour(rng, ground) * share
    image += rng.normal(0.0, rng.uniform(0.0, _NOISE), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), mask


def _mask(rng: np.random.Generator, character: str, chosen: Font) -> NDArray[np.uint8]:
    """The character alone, white on black."""
    font = _font(chosen, int(rng.integers(_HEIGHTS[0], _HEIGHTS[1] + 1)))
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    left, top, right, bottom = font.getbbox(character)
    ImageDraw.Draw(canvas).text(
        ((_CANVAS - left - right) / 2, (_CANVAS - top - bottom) / 2), character, fill=255, font=font
    )
    turned = canvas.transform(canvas.size, Image.Transform.AFFINE, _placement(rng), resample=Image.Resampling.BILINEAR)
    return np.asarray(turned.resize((SIZE, SIZE), Image.Resampling.BOX))


def _placement(rng: np.random.Generator) -> tuple[float, ...]:
    """From places on the canvas after to those before: turned, sheared and scaled about the middle, then shifted."""
    angle = np.deg2rad(rng.uniform(-_DEGREES, _DEGREES))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1.0, rng.uniform(-_SHEAR, _SHEAR)], [0.0, 1.0]])
    back = np.linalg.inv(rng.uniform(*_SCALE) * turn @ shear)
    middle = np.full(2, _CANVAS / 2)
    offset = middle - back @ (middle + rng.uniform(-_SHIFT, _SHIFT, 2))
    return (*back[0], offset[0], *back[1], offset[1])


def _colour(rng: np.random.Generator, ground: NDArray[np.float64]) -> NDArray[np.float64]:
    """One that can be told from the ground."""
    mean = float((ground @ _BRIGHTNESS).mean())
    while True:
        colour = rng.uniform(0, 255, 3)
        if abs(float(colour @ _BRIGHTNESS) - mean) >= _APART:
            return colour


@cache
def _font(chosen: Font, height: int) -> ImageFont.FreeTypeFont:
    """By Pillow's basic layout, so that no other library on the machine changes a pixel."""
    font = ImageFont.truetype(chosen.file, height, layout_engine=ImageFont.Layout.BASIC)
    if chosen.weight is not None:
        font.set_variation_by_axes(
            [chosen.weight if axis["name"] == b"Weight" else axis["default"] for axis in font.get_variation_axes()]
        )
    return font


def _write(folder: Path, name: str, split: Split) -> None:
    found = draw(name, split, COUNTS[split], 0)
    np.savez(folder / "glyphs.npz", images=found.images, labels=found.labels, masks=found.masks)


def _cached_as(name: str, split: Split) -> str:
    """Anything that changes a pixel gives another name."""
    parts = [str(VERSION), f"pillow {pillow_version}", f"numpy {np.__version__}", str(COUNTS[split])]
    parts += packages.installed_versions([*packages.PHOTOGRAPHS.values(), *(each for _, each in needed())])
    return f"{name}-{split}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"
