"""Compress a classifier of labelled images: what is left of its accuracy."""

from collections.abc import Sequence

import numpy as np

from bench.contract import Score, Setting, only_the_judge
from suites._vision import bases as trained
from suites._vision import data, scores
from suites._vision.asking import ask
from suites._vision.data import Labelled
from suites._vision.served import ServedClassifier
from suites.vision_compression.exam import Exam
from suites.vision_compression.problem import Compression


class Classify(Compression):
    """The images that the base was trained on, and those of its validation that it was not."""

    labelled = True

    def images(self, setting: Setting) -> Labelled:
        return data.labelled(self._set(setting), "train")

    def size(self, setting: Setting) -> int:
        return data.SHAPES[self._set(setting)].size

    def missing_images(self, scale: str, model: str) -> str | None:
        return data.missing(trained.RECIPES[model].data)

    def prepare(self, setting: Setting) -> None:
        super().prepare(setting)
        data.labelled(self._set(setting), "test")

    def exam(self, setting: Setting) -> Exam:
        only_the_judge("the images that vision-compression asks")
        rng = np.random.default_rng([setting.seed, 0xD0BB7])
        return Exam(asked=data.labelled(self._set(setting), "test"), rng=rng)

    def evaluate(self, served: ServedClassifier, exam: Exam) -> Sequence[Score]:
        exam.answers = ask(served, exam.asked)
        return [
            scores.top1("top1", exam.answers, exam.asked.labels),
            scores.nll("nll", exam.answers, exam.asked.labels),
            scores.calibration_error("calibration_error", exam.answers, exam.asked.labels),
        ]

    def _set(self, setting: Setting) -> str:
        return trained.RECIPES[self.model_name(setting)].data
