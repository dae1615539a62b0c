"""Heads with a tumour, by a stated generator: one template, deformed, given a tumour of three parts, and made new
pictures of, as SynthSeg does (Billot et al., 2021, https://arxiv.org/abs/2107.09559).

A head is turned by up to 12 degrees, scaled by 0.9 to 1.1 in each direction, mirrored or not, shifted by up to 6 mm and
bent by a smooth field of 4 mm. The tumour grows from a place in the white matter, 18 to 36 mm in radius, along white
matter more than along grey, with a rough border; within it lies a core, and within the core what has died. It pushes
the tissue around it aside. Of each head four pictures are drawn, with the contrasts of T1, T1 after contrast agent, T2
and FLAIR, whose brightness by tissue is drawn anew for every head; a field of brightness and noise are laid over. Small
bright spots that are no tumour are strewn in: lesions of the white matter, and vessels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from suites.volumetric_segmentation.regions import ENHANCING, NECROSIS, OEDEMA
from suites.volumetric_segmentation.template import SPACING, Template

Map = NDArray[np.float32]

FIELD = 192.0
"""Millimetres of a volume's side: the whole brain."""

SEQUENCES = ("T1", "T1 with contrast agent", "T2", "FLAIR")

_TISSUES = ("fluid", "grey", "white", "necrosis", "oedema", "enhancing")
_BRIGHTNESS = np.array(
    [
        [0.20, 0.50, 0.72, 0.25, 0.45, 0.45],
        [0.20, 0.50, 0.70, 0.30, 0.45, 0.80],
        [0.90, 0.58, 0.42, 0.80, 0.70, 0.62],
        [0.15, 0.52, 0.42, 0.40, 0.75, 0.62],
    ]
)
"""(sequences, tissues): what is usual."""
_SPREAD = 0.08
"""Standard deviation of a tissue's brightness from head to head."""

_DEGREES, _SCALES, _SHIFT, _BEND = 12.0, (0.9, 1.1), 6.0, 4.0
_RADII, _CORE, _DEAD = (18.0, 36.0), (0.6, 0.85), (0.5, 0.8)
"""Of the whole tumour in millimetres; of the core as a part of that; of what died as a part of the core."""
_ROUGH, _ALONG_WHITE, _PUSH = 0.16, 0.25, (0.0, 0.35)
_FEWEST = 300.0
"""Cubic millimetres that each part has at the least."""
_BIAS, _DETAIL, _NOISE = 0.15, 0.6, (0.02, 0.06)
_LESIONS, _VESSELS, _SPOT = (0, 6), (0, 6), (2.5, 5.0)


@dataclass(frozen=True)
class Head:
    """pictures: (4, size, size, size) uint8, 0 outside of the brain. labels: (size, size, size) uint8."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def draw_head(rng: np.random.Generator, template: Template, size: int) -> Head:
    """One head in `size` voxels a side."""
    while True:
        places = _bent(rng, template, size)
        brain, white = (_looked_up(each, places) for each in (template.brain, template.white))
        growth = _grown(rng, brain, white, size)
        if growth is not None:
            break
    labels, push = growth
    places += push
    maps = [_looked_up(each, places) for each in (template.brain, template.grey, template.white, template.detail)]
    brain, grey, white, detail = maps
    inside = (brain > 0.5) | (labels > 0)
    fluid = np.clip(inside - grey - white, 0, None)
    shares = _with_tumour(np.stack([fluid, grey, white]), labels)
    _strew(rng, shares, "oedema", white > 0.6, labels, rng.integers(*_LESIONS))
    _strew(rng, shares, "enhancing", brain > 0.5, labels, rng.integers(*_VESSELS))
    return Head(_pictures(rng, shares, detail, inside, size), labels)


def smooth_field(rng: np.random.Generator, size: int, lumps: int) -> Map:
    """(size, size, size): smooth noise of unit variance with about `lumps` bumps along a side."""
    coarse = rng.standard_normal((lumps + 3,) * 3)
    at = np.linspace(1, lumps + 1, size)
    fine = ndimage.map_coordinates(coarse, np.meshgrid(at, at, at, indexing="ij"), order=3)
    return ((fine - fine.mean()) / fine.std()).astype(np.float32)


def _bent(rng: np.random.Generator, template: Template, size: int) -> NDArray[np.float64]:
    """(3, size, size, size): the place in the template of each voxel."""
    at = (np.arange(size) + 0.5) / size * FIELD - FIELD / 2
    grid = np.stack(np.meshgrid(at, at, at, indexing="ij"))
    turn = Rotation.from_euler("xyz", rng.uniform(-_DEGREES, _DEGREES, 3), degrees=True).as_matrix()
    scale = rng.uniform(*_SCALES, 3) * [rng.choice([-1.0, 1.0]), 1, 1]
    millimetres = np.tensordot(turn * scale, grid, 1) + rng.uniform(-_SHIFT, _SHIFT, (3, 1, 1, 1))
    millimetres += _BEND * np.stack([smooth_field(rng, size, 4) for _ in range(3)])
    return millimetres / SPACING + template.centre[:, None, None, None]


def _looked_up(values: Map, places: NDArray[np.float64]) -> Map:
    found: Map = ndimage.map_coordinates(values, places, order=1, output=np.float32)
    return found


def _grown(
    rng: np.random.Generator, brain: Map, white: Map, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]] | None:
    """Labels, and how far the place in the template of each voxel is moved, in its voxels; None where a part came to
    nothing."""
    voxel = FIELD / size
    seeds = np.argwhere((white > 0.6) & (ndimage.uniform_filter(brain, 3) > 0.99))
    centre = seeds[rng.integers(len(seeds))]
    radius, core, dead = rng.uniform(*_RADII), rng.uniform(*_CORE), rng.uniform(*_DEAD)
    away = (np.stack(np.indices((size,) * 3)) - centre[:, None, None, None]) * voxel
    distance = np.linalg.norm(away, axis=0)
    lumps = max(3, round(FIELD / 24))
    rough = [_ROUGH * smooth_field(rng, size, lumps) for _ in range(3)]
    depth = distance / radius
    whole = _around((depth + rough[0] - _ALONG_WHITE * (white - 0.5) < 1) & (brain > 0.5), centre)
    inner = whole & (depth / core + rough[1] < 1)
    died = inner & (depth / (core * dead) + rough[2] < 1)
    labels = np.zeros((size,) * 3, dtype=np.uint8)
    labels[whole], labels[inner], labels[died] = OEDEMA, ENHANCING, NECROSIS
    fewest = _FEWEST / voxel**3
    if (np.bincount(labels.reshape(-1), minlength=4)[1:] < fewest).any():
        return None
    strength = rng.uniform(*_PUSH) * np.exp(-((distance / (1.5 * radius)) ** 2))
    return labels, -away * strength / SPACING


def _around(mask: NDArray[np.bool_], centre: NDArray[np.intp]) -> NDArray[np.bool_]:
    """What of the mask hangs together with the centre; nothing where that is not in it."""
    parts, _ = ndimage.label(mask)
    own = parts[tuple(centre)]
    return (parts == own) & mask if own else np.zeros_like(mask)


def _with_tumour(healthy: Map, labels: NDArray[np.uint8]) -> Map:
    """(tissues, size, size, size): the shares of each voxel, with borders of the tumour that are a voxel wide."""
    parts = [ndimage.gaussian_filter((labels == part).astype(np.float32), 0.5) for part in (1, 2, 3)]
    tumour = np.stack(parts)
    return np.concatenate([healthy * (1 - tumour.sum(0)), tumour])


def _strew(
    rng: np.random.Generator, shares: Map, tissue: str, where: NDArray[np.bool_], labels: NDArray[np.uint8], count: int
) -> None:
    """Writes spots that look like a part of the tumour, and belong to none, into the shares."""
    size = len(labels)
    kind = np.zeros((len(_TISSUES), 1, 1, 1), dtype=np.float32)
    kind[_TISSUES.index(tissue)] = 1
    free = np.argwhere(where & ~ndimage.binary_dilation(labels > 0, iterations=2))
    for centre in free[rng.integers(len(free), size=count)]:
        away = np.stack(np.indices((size,) * 3)) - centre[:, None, None, None]
        radius = rng.uniform(*_SPOT) * size / FIELD
        spot = np.exp(-np.square(away).sum(0) / (2 * radius**2)) * (labels == 0)
        shares += spot.astype(np.float32) * (kind - shares)


def _pictures(
    rng: np.random.Generator, shares: Map, detail: Map, inside: NDArray[np.bool_], size: int
) -> NDArray[np.uint8]:
    brightness = _BRIGHTNESS + rng.normal(0, _SPREAD, _BRIGHTNESS.shape)
    pictures = np.tensordot(brightness, shares, 1)
    pictures += _DETAIL * rng.uniform(-1, 1, (len(brightness), 1, 1, 1)) * detail
    drawn = []
    for picture in pictures:
        lit = picture * np.exp(_BIAS * smooth_field(rng, size, 2)) + rng.normal(0, rng.uniform(*_NOISE), picture.shape)
        drawn.append(normalised(lit, inside))
    return np.stack(drawn)


def normalised(picture: NDArray[np.floating], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The brain's brightness from its first to its 99th percentile brought to 1..255, and 0 outside."""
    low, high = np.percentile(picture[inside], (1, 99))
    levels = np.rint(1 + 254 * np.clip((picture - low) / max(high - low, 1e-6), 0, 1))
    return np.where(inside, levels, 0).astype(np.uint8)
