"""Full scale: a folder of cases as BraTS gives them out (Menze et al., 2015), each a folder with four sequences and a
segmentation as NIfTI files. Named by the environment variable EFFBENCH_BRATS."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contract import MissingAsset
from suites.volumetric_segmentation.heads import normalised
from suites.volumetric_segmentation.nifti import read_nifti
from suites.volumetric_segmentation.regions import ENHANCING, NECROSIS, OEDEMA

FOLDER = "EFFBENCH_BRATS"
SIZE = 160
"""Voxels of a side, of 1 mm: the middle of the brain stands in the middle, and what is beyond is cut."""

_SEQUENCES: Sequence[Sequence[str]] = (("t1", "t1n"), ("t1ce", "t1c", "t1gd"), ("t2", "t2w"), ("flair", "t2f"))
"""What the names of files end on, over the years."""
_SEGMENTATION = ("seg",)
_LABELS = {1: NECROSIS, 2: OEDEMA, 3: ENHANCING, 4: ENHANCING}
"""Until 2021 the enhancing part was 4, and 3 was nothing."""
_TESTED = 0.2


def missing() -> str | None:
    """What is not there, with how to get it, or None."""
    named = os.environ.get(FOLDER)
    how = (
        "ask for the training data of a BraTS challenge at https://www.synapse.org/brats, unpack it, and name the "
        f"folder that holds its cases by {FOLDER}"
    )
    if not named:
        return f"there is no folder of volumes: {how}"
    if not Path(named).is_dir():
        return f"{FOLDER} names {named}, which is no folder: {how}"
    if not _cases():
        return (
            f"{named} has no case with {', '.join(names[0] for names in _SEQUENCES)} and seg as .nii or .nii.gz: {how}"
        )
    return None


def cases(split: Literal["train", "test"]) -> list[Path]:
    """Folders of the split's cases, the same wherever they lie: a fifth, by a digest of their names, is the exam.
    Raises MissingAsset."""
    if problem := missing():
        raise MissingAsset(problem)
    shuffled = sorted(_cases(), key=lambda case: hashlib.sha256(case.name.encode()).digest())
    tested = max(1, round(_TESTED * len(shuffled)))
    return shuffled[:tested] if split == "test" else shuffled[tested:]


def read_case(case: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures (4, SIZE, SIZE, SIZE) and labels (SIZE, SIZE, SIZE). Raises ValueError for a case that is not whole."""
    files = [_file(case, names) for names in (*_SEQUENCES, _SEGMENTATION)]
    lacking = [names[0] for names, file in zip((*_SEQUENCES, _SEGMENTATION), files, strict=True) if file is None]
    if lacking:
        raise ValueError(f"{case} has no {', '.join(lacking)}")
    *pictures, given = (read_nifti(file) for file in files if file is not None)
    if len({each.shape for each in (*pictures, given)}) > 1:
        raise ValueError(f"{case}: its files are of different sizes: {[each.shape for each in (*pictures, given)]}")
    inside = np.any([picture != 0 for picture in pictures], axis=0)
    if not inside.any():
        raise ValueError(f"{case}: its pictures are empty")
    numbers = np.rint(given).astype(np.int64)
    if unknown := set(np.unique(numbers).tolist()) - {0, *_LABELS}:
        raise ValueError(f"{case}: its segmentation has the labels {sorted(unknown)}, where 1, 2 and 3 or 4 are known")
    labels = np.zeros(numbers.shape, dtype=np.uint8)
    for number, label in _LABELS.items():
        labels[numbers == number] = label
    middle = [(int(axis.min()) + int(axis.max()) + 1) // 2 for axis in np.nonzero(inside)]
    drawn = [_window(normalised(picture.astype(np.float64), inside), middle) for picture in pictures]
    return np.stack(drawn), _window(labels, middle)


def _cases() -> list[Path]:
    """The folders that hold a case."""
    folders = (each for each in Path(os.environ[FOLDER]).iterdir() if each.is_dir())
    return [each for each in folders if all(_file(each, names) for names in (*_SEQUENCES, _SEGMENTATION))]


def _file(case: Path, names: Sequence[str]) -> Path | None:
    for file in sorted(case.iterdir()):
        whole = file.name.lower().removesuffix(".gz")
        if whole.endswith(".nii") and whole.removesuffix(".nii").replace("-", "_").rpartition("_")[2] in names:
            return file
    return None


def _window(values: NDArray[Any], middle: Sequence[int]) -> NDArray[np.uint8]:
    """SIZE voxels a side around the middle; 0 where there is nothing."""
    found = np.zeros((SIZE,) * 3, dtype=np.uint8)
    taken, put = [], []
    for size, at in zip(values.shape, middle, strict=True):
        start = at - SIZE // 2
        first, last = max(0, start), min(size, start + SIZE)
        taken.append(slice(first, last))
        put.append(slice(first - start, last - start))
    found[tuple(put)] = values[tuple(taken)]
    return found
