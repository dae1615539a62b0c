"""The regions that a segmentation is judged by, as in BraTS: nested, each a set of labels."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.contract import Score

NECROSIS, OEDEMA, ENHANCING = 1, 2, 3
"""Labels of the three parts of a tumour; 0 is all else."""
CLASSES = 4

REGIONS: Mapping[str, Sequence[int]] = {
    "whole": (NECROSIS, OEDEMA, ENHANCING),
    "core": (NECROSIS, ENHANCING),
    "enhancing": (ENHANCING,),
}


def dice(found: NDArray[np.uint8], truth: NDArray[np.uint8], region: str) -> float:
    """2 |A and B| / (|A| + |B|) of the voxels in a region, of labels of one volume; 1 where neither has any, so 0
    where one alone has."""
    mine, theirs = (np.isin(each, list(REGIONS[region])) for each in (found, truth))
    voxels = int(mine.sum()) + int(theirs.sum())
    return 2 * int((mine & theirs).sum()) / voxels if voxels else 1.0


def dice_scores(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> list[Score]:
    """Of labels (n, size, size, size): `dice`, the mean over the regions, and `dice_REGION`; a sample a volume."""
    pairs = list(zip(found, truth, strict=True))
    by_region = {region: [dice(mine, theirs, region) for mine, theirs in pairs] for region in REGIONS}
    means = [float(np.mean(each)) for each in zip(*by_region.values(), strict=True)]
    return [Score("dice", means), *(Score(f"dice_{region}", each) for region, each in by_region.items())]
