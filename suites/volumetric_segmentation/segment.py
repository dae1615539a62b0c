"""Segmentation of volumes from scratch, after the data in suite.toml."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from bench.contract import Built, MissingAsset, Problem, Score, Setting, Step, Supply, Tuning, Workload, only_the_judge
from bench.contract.supply import AtHand, Meter
from suites._training import tally
from suites._training.trainer import Trainer
from suites.volumetric_segmentation import data, workloads
from suites.volumetric_segmentation.data import CHANNELS, SHAPES, Volumes
from suites.volumetric_segmentation.exam import Exam
from suites.volumetric_segmentation.learning import VolumeBatch, segmentation_loss
from suites.volumetric_segmentation.regions import dice_scores
from suites.volumetric_segmentation.rig import VolumeRig
from suites.volumetric_segmentation.served import ServedSegmenter
from suites.volumetric_segmentation.supplies import LabelSupply, VolumeSupply
from suites.volumetric_segmentation.task import METER, SegmentationTask

RULE = "an answer hangs on other volumes"

_ASKED_AGAIN = 3
"""Volumes, in an order of their own."""


class Segment(Problem[SegmentationTask, Exam]):
    """The base is the set of volumes. settings: passes, held, memory_bytes (see suite.toml)."""

    def missing(self, scale: str, base: str) -> str | None:
        return data.missing(base)

    def prepare(self, setting: Setting) -> None:
        if problem := self.missing(setting.scale, setting.base):
            raise MissingAsset(problem)
        for split in ("train", "test"):
            data.volumes(setting.base, split)

    # --- for the builder ---

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        training = self._training(setting)
        return {
            "training": VolumeSupply(training, METER),
            "labels": LabelSupply(training),
            "validation": VolumeSupply(self._held(setting), None),
        }

    def task(self, setting: Setting) -> SegmentationTask:
        return SegmentationTask(
            scale=setting.scale,
            seed=setting.seed,
            device=setting.device,
            limits=setting.point.limits,
            size=SHAPES[setting.base].size,
            most_passes=self.settings["passes"][setting.scale],
        )

    def spent(self, task: SegmentationTask) -> Mapping[str, float]:
        return tally.spent()

    def tuning(self, setting: Setting) -> Tuning[SegmentationTask]:
        """By the loss over the validation volumes."""
        task, held = self.task_at_hand(setting), self._held(setting)

        def loss(built: Built) -> float:
            return float(np.mean(_losses(self.serve(built.candidate, task), held)))

        return Tuning(task, loss)

    # --- for servers ---

    def outfit(self, task: SegmentationTask) -> None:
        """The volume that the memory of a training is weighed on: its numbers do not matter for it."""
        shape = (1, CHANNELS, task.size, task.size, task.size)
        any_volume = Volumes(np.zeros(shape, dtype=np.uint8), np.zeros((1, *shape[2:]), dtype=np.uint8))
        task.supplies = {"validation": AtHand(VolumeSupply(any_volume, None), Meter(task.limits))}

    def serve(self, candidate: Any, task: SegmentationTask) -> ServedSegmenter:
        return ServedSegmenter(candidate, task.device, task.size)

    def serve_rig(self, rig: Trainer[VolumeBatch], task: SegmentationTask) -> VolumeRig:
        weighed_on = task.validation()[0]
        return VolumeRig(rig, task.device, weighed_on, self.settings["memory_bytes"][task.scale])

    def counted(self, task: SegmentationTask) -> Step:
        """One volume, of the validation volumes."""
        images, _ = task.supplies["validation"].take([0])
        return Step("segment", "segment", (np.asarray(images),))

    # --- for the judge ---

    def exam(self, setting: Setting) -> Exam:
        only_the_judge("the volumes that volumetric-segmentation asks")
        asked = data.volumes(setting.base, "test")
        rng = np.random.default_rng([setting.seed, 0xD0BB7])
        return Exam(asked=asked, held=self._held(setting), rng=rng)

    def evaluate(self, served: ServedSegmenter, exam: Exam) -> Sequence[Score]:
        exam.answers = np.concatenate([_labels(served, exam.asked, number) for number in range(len(exam.asked))])
        exam.losses[:] = _losses(served, exam.held)
        return dice_scores(exam.answers, exam.asked.labels)

    def doubts(self, served: ServedSegmenter, exam: Exam) -> tuple[str, str] | None:
        assert exam.answers is not None
        for number in exam.rng.choice(len(exam.asked), min(_ASKED_AGAIN, len(exam.asked)), replace=False):
            differing = workloads.apart(_labels(served, exam.asked, int(number)), exam.answers[[number]])
            if differing > workloads.TOLERANCE:
                return RULE, f"asked again after others, it gives {differing:.2%} of the voxels another label"
        return None

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        return [workloads.segmenting(exam.held), workloads.training(exam.held, exam.losses)]

    # --- the data ---

    def _training(self, setting: Setting) -> Volumes:
        """All but the validation volumes."""
        whole = data.volumes(setting.base, "train")
        return whole.part(slice(len(whole) - self._held_count(setting)))

    def _held(self, setting: Setting) -> Volumes:
        whole = data.volumes(setting.base, "train")
        return whole.part(slice(len(whole) - self._held_count(setting), None))

    def _held_count(self, setting: Setting) -> int:
        count: int = self.settings["held"][setting.scale]
        return count


def _labels(served: ServedSegmenter, asked: Volumes, number: int) -> np.ndarray:
    """(1, size, size, size) of one volume."""
    return np.asarray(served.segment(np.array(asked.images[[number]])), dtype=np.uint8)


def _losses(served: ServedSegmenter, held: Volumes) -> list[float]:
    """Over each volume."""
    found = []
    for number in range(len(held)):
        logits = np.array(np.asarray(served.logits(np.array(held.images[[number]]))))
        labels = torch.from_numpy(np.array(held.labels[[number]]))
        found.append(float(segmentation_loss(torch.from_numpy(logits), labels)))
    return found
