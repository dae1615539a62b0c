"""Control that knows nothing of a volume: where tumours were, in the volumes that are trained on."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from bench.contract import Built, Card, Method
from suites.volumetric_segmentation.regions import CLASSES, ENHANCING, NECROSIS, OEDEMA, REGIONS
from suites.volumetric_segmentation.task import SegmentationTask

THRESHOLDS = 12
"""Shares that are tried, evenly from 0 to the largest."""


class Atlas(nn.Module):
    """The same labels (size, size, size) uint8 for every volume."""

    labels: Tensor

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        self.register_buffer("labels", labels)

    def forward(self, inputs: Tensor) -> Tensor:
        logits = one_hot(self.labels.long(), CLASSES).movedim(-1, 0).float()
        return logits.expand(len(inputs), *logits.shape)


@dataclass(frozen=True)
class TumourAtlas(Method[SegmentationTask]):
    """Each region is where it was in at least a certain share of the training volumes, whatever the volume; of all
    shares the one with the best Dice on them. All background would get 0 in every region."""

    card = Card(
        slug="atlas",
        title="Tumour atlas",
        paper="Control: the labels alone",
        control=True,
        trivial=True,
        notes="It trains nothing, so its training memory is 0.",
    )

    def build(self, task: SegmentationTask) -> Built:
        masks = {region: best_mask(np.isin(task.labels, parts)) for region, parts in REGIONS.items()}
        labels = np.zeros(masks["whole"].shape, dtype=np.uint8)
        for region, part in (("whole", OEDEMA), ("core", NECROSIS), ("enhancing", ENHANCING)):
            labels[masks[region] & masks["whole"]] = part
        return Built(Atlas(torch.from_numpy(labels).to(task.device)), figures={"training_memory_ratio": 0.0})


def best_mask(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of masks (n, ...) the one mask, of voxels that are true in a share of them or more, with the best mean Dice."""
    share = truth.mean(0)
    voxels = truth.reshape(len(truth), -1).sum(1)
    best, found = -1.0, share > 1
    for threshold in np.linspace(0, share.max(), THRESHOLDS, endpoint=False)[1:]:
        mask = share >= threshold
        both = truth[:, mask].sum(1)
        dice = float((2 * both / (voxels + mask.sum())).mean())
        if dice > best:
            best, found = dice, mask
    return found
