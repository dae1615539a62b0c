"""What both problems are: a trained base, images to compress it by, and an exam of images."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bench.contract import Built, MissingAsset, Problem, Setting, Step, Supply, Tuning, Workload
from suites._training import tally
from suites._vision import bases as trained
from suites._vision import packages, scores, workloads
from suites._vision.asking import ask, doubt
from suites._vision.data import Labelled
from suites._vision.served import ServedClassifier
from suites._vision.supplies import Images, Labels
from suites._vision.task import METER
from suites.vision_compression import bases
from suites.vision_compression.exam import Exam
from suites.vision_compression.task import CALIBRATION, CompressionTask

COUNTED = 8
"""Validation images that FLOPs are counted on, one by one: a model may look what it has to do."""


class Compression(Problem[CompressionTask, Exam]):
    """settings: models (base of suite.toml -> model), passes, held, calibration; see suite.toml."""

    labelled: bool

    @abstractmethod
    def images(self, setting: Setting) -> Labelled:
        """All that methods may see, in a fixed order; the last of them are validation images."""

    @abstractmethod
    def size(self, setting: Setting) -> int:
        """Pixels of a side."""

    @abstractmethod
    def missing_images(self, scale: str, model: str) -> str | None:
        """What is not installed of them."""

    def missing(self, scale: str, base: str) -> str | None:
        models = self.settings["models"][scale]
        if base not in models:
            return f"at the {scale} scale {self.name} has no base {base!r}, only {', '.join(models)}"
        lacking = packages.missing(packages.LIBRARIES.items())
        return lacking or trained.missing(models[base]) or self.missing_images(scale, models[base])

    def prepare(self, setting: Setting) -> None:
        if problem := self.missing(setting.scale, setting.base):
            raise MissingAsset(problem)
        trained.prepare(self.model_name(setting))

    def model_name(self, setting: Setting) -> str:
        """Of the model that the base stands for."""
        found: str = self.settings["models"][setting.scale][setting.base]
        return found

    # --- for the builder ---

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        whole, held = self.images(setting), self.settings["held"][setting.scale]
        training = whole.part(slice(len(whole) - held))
        return {
            "training": Images(training, METER),
            "labels": Labels(training),
            "calibration": Images(training.part(slice(self.settings["calibration"][setting.scale])), CALIBRATION),
            "validation": Images(self.held(setting), None),
        }

    def held(self, setting: Setting) -> Labelled:
        """The validation images."""
        whole = self.images(setting)
        return whole.part(slice(len(whole) - self.settings["held"][setting.scale], None))

    def task(self, setting: Setting) -> CompressionTask:
        name = self.model_name(setting)
        return CompressionTask(
            scale=setting.scale,
            seed=setting.seed,
            device=setting.device,
            limits=setting.point.limits,
            classes=bases.classes_of(name),
            size=self.size(setting),
            most_passes=self.settings["passes"][setting.scale],
            load_model=partial(bases.model, name, setting.device),
            labelled=self.labelled,
        )

    def spent(self, task: CompressionTask) -> Mapping[str, float]:
        return tally.spent()

    def tuning(self, setting: Setting) -> Tuning[CompressionTask]:
        """By the validation images: the loss of their labels, or the divergence from the base."""
        task, held = self.task_at_hand(setting), self.held(setting)

        def loss(built: Built) -> float:
            logits = ask(self.serve(built.candidate, task), held)
            if self.labelled:
                return scores.nll("nll", logits, held.labels).value
            return scores.divergence("divergence", logits, ask(self.serve(task.model, task), held)).value

        return Tuning(task, loss)

    # --- for servers ---

    def serve(self, candidate: Any, task: CompressionTask) -> ServedClassifier:
        return ServedClassifier(candidate, task.device, task.classes, task.size)

    def counted(self, task: CompressionTask) -> Step:
        supply = task.supplies["validation"]
        count = min(COUNTED, len(supply))
        images, _ = supply.take(list(range(count)))
        return Step("classify", "classify", (np.asarray(images),), units=count)

    # --- for the judge ---

    def doubts(self, served: ServedClassifier, exam: Exam) -> tuple[str, str] | None:
        assert exam.answers is not None
        return doubt(served, exam.asked, exam.answers, exam.rng)

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        return [workloads.classify(exam.size)]
