"""Image classification from scratch, after the data in suite.toml."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.contract import Built, MissingAsset, Problem, Score, Setting, Step, Supply, Tuning, Workload, only_the_judge
from bench.contract.supply import AtHand, Meter
from suites._training import tally
from suites._training.trainer import Trainer
from suites._vision import corruptions, packages, scores, workloads
from suites._vision.asking import ask, doubt
from suites._vision.data import SHAPES, Labelled, labelled
from suites._vision.data import missing as data_missing
from suites._vision.learning import ImageBatch
from suites._vision.rig import ImageRig
from suites._vision.served import ServedClassifier
from suites._vision.supplies import Images, Labels
from suites._vision.task import METER
from suites.image_classification.exam import Exam
from suites.image_classification.task import ClassificationTask

SEVERITY = 3
"""Of the corruptions."""


class Classify(Problem[ClassificationTask, Exam]):
    """The base is the set of images. settings: passes, held, batch, level, corrupted (see suite.toml); a point's own:
    images, how many there are to train on."""

    def missing(self, scale: str, base: str) -> str | None:
        return packages.missing(packages.LIBRARIES.items()) or data_missing(base)

    def prepare(self, setting: Setting) -> None:
        if problem := self.missing(setting.scale, setting.base):
            raise MissingAsset(problem)
        for split in ("train", "test"):
            labelled(setting.base, split)

    # --- for the builder ---

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        training = self._training(setting)
        return {
            "training": Images(training, METER),
            "labels": Labels(training),
            "validation": Images(self._held(setting), None),
        }

    def task(self, setting: Setting) -> ClassificationTask:
        shape = SHAPES[setting.base]
        return ClassificationTask(
            scale=setting.scale,
            seed=setting.seed,
            device=setting.device,
            limits=setting.point.limits,
            classes=shape.classes,
            size=shape.size,
            most_passes=self.settings["passes"][setting.scale],
            level=self.settings["level"][setting.scale],
        )

    def spent(self, task: ClassificationTask) -> Mapping[str, float]:
        return tally.spent()

    def tuning(self, setting: Setting) -> Tuning[ClassificationTask]:
        """By the loss over the validation images."""
        task, held = self.task_at_hand(setting), self._held(setting)

        def loss(built: Built) -> float:
            logits = np.asarray(self.serve(built.candidate, task).logits(held.images))
            return scores.nll("nll", logits, held.labels).value

        return Tuning(task, loss)

    # --- for servers ---

    def outfit(self, task: ClassificationTask) -> None:
        """The images that the memory of a training is weighed on: their numbers do not matter for it."""
        shape = (self.settings["batch"][task.scale], 3, task.size, task.size)
        any_images = Labelled(np.zeros(shape, dtype=np.uint8), np.zeros(shape[0], dtype=np.int64))
        task.supplies = {"validation": AtHand(Images(any_images, None), Meter(task.limits))}

    def serve(self, candidate: Any, task: ClassificationTask) -> ServedClassifier:
        return ServedClassifier(candidate, task.device, task.classes, task.size)

    def serve_rig(self, rig: Trainer[ImageBatch], task: ClassificationTask) -> ImageRig:
        return ImageRig(rig, task.device, task.validation(self.settings["batch"][task.scale])[0])

    def counted(self, task: ClassificationTask) -> Step:
        """One image, of the validation images, so that a model that looks what it has to do is counted as it is."""
        images, _ = task.supplies["validation"].take([0])
        return Step("classify", "classify", (np.asarray(images),), units=1)

    # --- for the judge ---

    def exam(self, setting: Setting) -> Exam:
        only_the_judge("the images that image-classification asks")
        clean = labelled(setting.base, "test")
        few = clean.part(slice(self.settings["corrupted"][setting.scale]))
        return Exam(
            clean=clean,
            corrupted=Labelled(corruptions.every_kind(few.images, SEVERITY, 0), few.labels),
            held=self._held(setting),
            batch=self.settings["batch"][setting.scale],
            rng=np.random.default_rng([setting.seed, 0xD0BB7]),
        )

    def evaluate(self, served: ServedClassifier, exam: Exam) -> Sequence[Score]:
        clean, corrupted, held = (ask(served, asked) for asked in (exam.clean, exam.corrupted, exam.held))
        exam.answers = clean
        losses = np.array(scores.nll("nll", held, exam.held.labels).samples)
        exam.losses[:] = losses[: len(losses) // exam.batch * exam.batch].reshape(-1, exam.batch).mean(1).tolist()
        return [
            scores.top1("top1", clean, exam.clean.labels),
            scores.top1("top1_corrupted", corrupted, exam.corrupted.labels),
            scores.nll("nll", clean, exam.clean.labels),
            scores.calibration_error("calibration_error", clean, exam.clean.labels),
        ]

    def doubts(self, served: ServedClassifier, exam: Exam) -> tuple[str, str] | None:
        assert exam.answers is not None
        return doubt(served, exam.clean, exam.answers, exam.rng)

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        return [workloads.classify(exam.size), workloads.training(exam.held, exam.batch, exam.losses)]

    # --- the data ---

    def _training(self, setting: Setting) -> Labelled:
        """All but the validation images; the first of them where a point has fewer."""
        whole = labelled(setting.base, "train")
        most = setting.point.settings.get("images", {}).get(setting.scale, len(whole))
        return whole.part(slice(min(most, len(whole) - self._held_count(setting))))

    def _held(self, setting: Setting) -> Labelled:
        whole = labelled(setting.base, "train")
        return whole.part(slice(len(whole) - self._held_count(setting), None))

    def _held_count(self, setting: Setting) -> int:
        count: int = self.settings["held"][setting.scale]
        return count
