"""The head that volumes are made from: the ICBM 2009 template's T1, grey and white matter, out of nilearn's wheel."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bench.contract import MissingAsset
from suites._vision import packages
from suites.volumetric_segmentation.nifti import read_nifti

PACKAGE = {"nilearn": "nilearn==0.14.1"}
"""Its folder -> what pip calls it. Read by path, never imported."""

SPACING = 2.0
"""Millimetres of a voxel; those of the files are brought together two by two."""

_FILES = "datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


@dataclass(frozen=True)
class Template:
    """Maps (x, y, z) in 0..1, float32: how much of each voxel is brain, grey matter and white matter; `detail`: what
    is left of the T1 once brightness by tissue is taken away. centre: of the brain, in voxels."""

    brain: NDArray[np.float32]
    grey: NDArray[np.float32]
    white: NDArray[np.float32]
    detail: NDArray[np.float32]
    centre: NDArray[np.float64]


def missing() -> str | None:
    """What is not installed, with the line that mends it."""
    return packages.missing(PACKAGE.items())


@cache
def template() -> Template:
    """Raises MissingAsset."""
    t1, grey, white = (_map(name) for name in ("t1", "gm", "wm"))
    tissue = ndimage.binary_closing(grey + white > 0.5, iterations=3)
    brain = ndimage.binary_fill_holes(tissue).astype(np.float32)
    parts = np.stack([brain * (1 - np.clip(grey + white, 0, 1)), grey, white], axis=-1)
    inside = brain > 0
    brightness = np.linalg.lstsq(parts[inside], t1[inside], rcond=None)[0]
    detail = ((t1 - parts @ brightness) * brain).astype(np.float32)
    centre = np.array([(axis.min() + axis.max()) / 2 for axis in np.nonzero(inside)])
    return Template(brain, grey, white, detail, centre)


def _map(name: str) -> NDArray[np.float32]:
    requirement = PACKAGE["nilearn"]
    file = packages.folder_of("nilearn", requirement) / _FILES.format(name)
    if not file.is_file():
        raise MissingAsset(f"nilearn is installed without {file.name}; {packages.install([requirement])}")
    fine = read_nifti(file).astype(np.float32) / 255
    even = fine[tuple(slice(size // 2 * 2) for size in fine.shape)]
    pairs = [number for size in even.shape for number in (size // 2, 2)]
    found: NDArray[np.float32] = even.reshape(pairs).mean((1, 3, 5))
    return found
