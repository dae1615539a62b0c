"""Compress a classifier of photographs, of which nobody knows the labels: how far it still says what it said."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from bench.contract import Score, Setting, only_the_judge
from bench.contract.cache import made_once
from suites._vision import packages, photographs, scores, toy
from suites._vision.asking import ask
from suites._vision.data import Labelled
from suites._vision.photographs import Split
from suites._vision.served import ServedClassifier
from suites.vision_compression import bases
from suites.vision_compression.exam import Exam
from suites.vision_compression.problem import Compression

VERSION = 1
"""Raised when the crops are others."""


class Agree(Compression):
    """Crops of photographs; the exam's are of scenes that stand nowhere else. settings besides: crops, asked (how many
    there are to see, and in the exam), size."""

    labelled = False

    def images(self, setting: Setting) -> Labelled:
        return _pictures(setting.scale, "train", self.settings["crops"][setting.scale], self.size(setting))

    def size(self, setting: Setting) -> int:
        found: int = self.settings["size"][setting.scale]
        return found

    def missing_images(self, scale: str, model: str) -> str | None:
        return None if scale == "tiny" else photographs.missing()

    def prepare(self, setting: Setting) -> None:
        super().prepare(setting)
        self.images(setting)
        self._dense(setting)

    def exam(self, setting: Setting) -> Exam:
        only_the_judge("the photographs that vision-compression asks")
        rng = np.random.default_rng([setting.seed, 0xD0BB7])
        return Exam(asked=self._asked(setting), rng=rng, dense=self._dense(setting))

    def evaluate(self, served: ServedClassifier, exam: Exam) -> Sequence[Score]:
        exam.answers = ask(served, exam.asked)
        assert exam.dense is not None
        return [
            scores.agreement("agreement", exam.answers, exam.dense),
            scores.divergence("divergence", exam.answers, exam.dense),
        ]

    def _asked(self, setting: Setting) -> Labelled:
        return _pictures(setting.scale, "test", self.settings["asked"][setting.scale], self.size(setting))

    def _dense(self, setting: Setting) -> scores.Logits:
        """What the base says of the exam's images, kept by what it comes from."""
        asked, name = self._asked(setting), self.model_name(setting)
        weights = bases.model(name, "cpu").state_dict().values()
        parts = [asked.images.tobytes(), *(each.numpy().tobytes() for each in weights), torch.__version__.encode()]
        digest = hashlib.sha256(b"".join(parts)).hexdigest()[:12]

        def write(folder: Path) -> None:
            served = ServedClassifier(bases.model(name, "cpu"), "cpu", bases.classes_of(name), self.size(setting))
            np.save(folder / "logits.npy", ask(served, asked))

        kept = made_once("data", f"agree-{name}-{digest}", write)
        found: scores.Logits = np.load(kept / "logits.npy")
        return found


@cache
def _pictures(scale: str, split: Split, count: int, size: int) -> Labelled:
    """Without labels."""
    if split == "test":
        only_the_judge("photographs of the test split")
    if scale == "tiny":
        images, _ = toy.toy_images(split)
    else:
        versions = packages.installed_versions(packages.PHOTOGRAPHS.values())
        digest = hashlib.sha256(repr([VERSION, versions, count, size]).encode()).hexdigest()[:12]
        kept = made_once(
            "data",
            f"crops-{split}-{digest}",
            lambda folder: np.save(folder / "images.npy", photographs.crops(split, count, size, seed=0)),
        )
        images = np.load(kept / "images.npy")
    images = images[:count]
    return Labelled(images, np.full(len(images), -1, dtype=np.int64))
