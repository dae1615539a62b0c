"""Separation of two speakers, after the data in suite.toml."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from bench.contract import Built, MissingAsset, Problem, Score, Setting, Step, Supply, Tuning, Workload, only_the_judge
from bench.contract.supply import AtHand, Meter
from suites._training import tally
from suites._training.trainer import Trainer
from suites.audio_separation import data, workloads
from suites.audio_separation.data import RATE, Mixed, Mixes, Sources
from suites.audio_separation.exam import Exam, ask, doubt, look_ahead, losses_over, scored
from suites.audio_separation.learning import MixBatch
from suites.audio_separation.served import SeparationRig, ServedSeparator
from suites.audio_separation.supplies import Mixtures
from suites.audio_separation.task import METER, SeparationTask
from suites.audio_separation.voices import Split


class Separate(Problem[SeparationTask, Exam]):
    """The base is the set of mixes. settings: passes, batch, seconds, block, and how many mixes of each split (train,
    held, test); see suite.toml."""

    def missing(self, scale: str, base: str) -> str | None:
        return data.missing(base)

    def prepare(self, setting: Setting) -> None:
        if problem := self.missing(setting.scale, setting.base):
            raise MissingAsset(problem)
        splits: tuple[Split, ...] = ("train", "held", "test")
        for split in splits:
            self._mixes(setting, split)

    # --- for the builder ---

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        return {
            "training": Mixtures(self._mixes(setting, "train"), METER),
            "validation": Mixtures(self._mixes(setting, "held"), None),
        }

    def task(self, setting: Setting) -> SeparationTask:
        return SeparationTask(
            scale=setting.scale,
            seed=setting.seed,
            device=setting.device,
            limits=setting.point.limits,
            rate=RATE,
            most_passes=self.settings["passes"][setting.scale],
            batch=self.settings["batch"][setting.scale],
        )

    def spent(self, task: SeparationTask) -> Mapping[str, float]:
        return tally.spent()

    def tuning(self, setting: Setting) -> Tuning[SeparationTask]:
        """By the loss over the validation mixes."""
        task, held = self.task_at_hand(setting), self._held(setting)

        def loss(built: Built) -> float:
            return float(np.mean(losses_over(ask(self.serve(built.candidate, task), held), held, 1)))

        return Tuning(task, loss)

    # --- for servers ---

    def outfit(self, task: SeparationTask) -> None:
        """The mixes that the memory of a training is weighed on: their numbers do not matter for it."""
        noise = np.random.default_rng(0).uniform(-0.4, 0.4, (task.batch, 2, self._samples(task.scale)))
        count = len(noise)
        any_mixes = Mixed(noise.astype(np.float32), np.zeros(count), np.zeros(count, dtype=bool))
        task.supplies = {"validation": AtHand(Mixtures(_Fixed(any_mixes), None), Meter(task.limits))}

    def serve(self, candidate: Any, task: SeparationTask) -> ServedSeparator:
        return ServedSeparator(candidate, task.device, task.rate)

    def serve_rig(self, rig: Trainer[MixBatch], task: SeparationTask) -> SeparationRig:
        return SeparationRig(rig, task.device, task.validation()[0])

    def counted(self, task: SeparationTask) -> Step:
        """A mix as long as those of the exam; FLOPs are told of a second of it."""
        seconds = self.settings["seconds"][task.scale]
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, self._samples(task.scale))).astype(np.float32)
        return Step("separate", "separate", (noise,), units=seconds)

    # --- for the judge ---

    def exam(self, setting: Setting) -> Exam:
        only_the_judge("the mixes that audio-separation asks")
        asked = self._mixes(setting, "test")
        return Exam(
            asked=asked.take(range(len(asked))),
            held=self._held(setting),
            batch=self.settings["batch"][setting.scale],
            rate=RATE,
            block=self.settings["block"][setting.scale],
            rng=np.random.default_rng([setting.seed, 0xD0BB7]),
        )

    def evaluate(self, served: ServedSeparator, exam: Exam) -> Sequence[Score]:
        exam.answers = ask(served, exam.asked.sources)
        exam.losses[:] = losses_over(ask(served, exam.held), exam.held, exam.batch)
        return [*scored(exam.answers, exam.asked), Score("look_ahead", look_ahead(served, exam), aggregate="max")]

    def doubts(self, served: ServedSeparator, exam: Exam) -> tuple[str, str] | None:
        return doubt(served, exam)

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        return [
            workloads.separate("separate", exam.seconds, exam.rate),
            workloads.separate("block", exam.block, exam.rate),
            workloads.training(exam.held, exam.batch, exam.losses),
        ]

    # --- the data ---

    def _samples(self, scale: str) -> int:
        return round(self.settings["seconds"][scale] * RATE)

    def _mixes(self, setting: Setting, split: Split) -> Mixes:
        count = self.settings[split][setting.scale]
        return _made(setting.base, split, count, self.settings["seconds"][setting.scale])

    def _held(self, setting: Setting) -> Sources:
        held = self._mixes(setting, "held")
        return held.take(range(len(held))).sources


class _Fixed:
    """Mixes that are at hand."""

    def __init__(self, mixed: Mixed) -> None:
        self._mixed = mixed

    def __len__(self) -> int:
        return len(self._mixed)

    def take(self, numbers: Sequence[int]) -> Mixed:
        chosen = list(numbers)
        return Mixed(self._mixed.sources[chosen], self._mixed.levels[chosen], self._mixed.alike[chosen])


@cache
def _made(base: str, split: Split, count: int, seconds: float) -> Mixes:
    return data.mixes(base, split, count, seconds)
