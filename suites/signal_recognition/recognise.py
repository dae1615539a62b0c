"""Automatic modulation recognition: of 128 complex samples, which of eleven modulations it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.contract import Built, MissingAsset, Problem, Score, Setting, Step, Supply, Tuning, Workload, only_the_judge
from bench.contract.supply import AtHand, Meter
from suites._training import tally
from suites._training.trainer import Trainer
from suites._vision import scores
from suites.signal_recognition import data, teacher, workloads
from suites.signal_recognition.data import labelled
from suites.signal_recognition.exam import Exam, ask, doubt
from suites.signal_recognition.learning import SignalBatch
from suites.signal_recognition.modulations import CLASSES
from suites.signal_recognition.rig import SignalRig
from suites.signal_recognition.served import ServedRecogniser
from suites.signal_recognition.signals import LENGTH, Labelled
from suites.signal_recognition.supplies import Labels, Signals
from suites.signal_recognition.task import METER, SignalTask

LEVELS = {"m8": -8, "m4": -4, "0": 0, "4": 4, "8": 8, "12": 12, "16": 16}
"""End of a score's name -> signal-to-noise ratio in dB."""


class Recognise(Problem[SignalTask, Exam]):
    """The base is the set of signals. settings: passes, held, batch, level (see suite.toml)."""

    def missing(self, scale: str, base: str) -> str | None:
        return data.missing(base)

    def prepare(self, setting: Setting) -> None:
        if problem := self.missing(setting.scale, setting.base):
            raise MissingAsset(problem)
        labelled(setting.base, "test")
        teacher.prepare(setting.base, self._training(setting), setting.device)

    # --- for the builder ---

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        training = self._training(setting)
        return {
            "training": Signals(training, METER),
            "labels": Labels(training),
            "validation": Signals(self._held(setting), None),
            "teacher": teacher.Weights(setting.base, training),
        }

    def task(self, setting: Setting) -> SignalTask:
        return SignalTask(
            scale=setting.scale,
            seed=setting.seed,
            device=setting.device,
            limits=setting.point.limits,
            classes=len(CLASSES),
            most_passes=self.settings["passes"][setting.scale],
            level=self.settings["level"][setting.scale],
        )

    def spent(self, task: SignalTask) -> Mapping[str, float]:
        return tally.spent()

    def tuning(self, setting: Setting) -> Tuning[SignalTask]:
        """By the loss over the validation signals."""
        task, held = self.task_at_hand(setting), self._held(setting)

        def loss(built: Built) -> float:
            return scores.nll("nll", ask(self.serve(built.candidate, task), held), held.labels).value

        return Tuning(task, loss)

    # --- for servers ---

    def outfit(self, task: SignalTask) -> None:
        """The signals that the memory of a training is weighed on: their numbers do not matter for it."""
        count = self.settings["batch"][task.scale]
        zeros = np.zeros(count, dtype=np.int64)
        any_signals = Labelled(np.zeros((count, 2, LENGTH), dtype=np.float32), zeros, zeros)
        task.supplies = {"validation": AtHand(Signals(any_signals, None), Meter(task.limits))}

    def serve(self, candidate: Any, task: SignalTask) -> ServedRecogniser:
        return ServedRecogniser(candidate, task.device, task.classes)

    def serve_rig(self, rig: Trainer[SignalBatch], task: SignalTask) -> SignalRig:
        return SignalRig(rig, task.device, task.validation(self.settings["batch"][task.scale])[0])

    def counted(self, task: SignalTask) -> Step:
        """One signal, of the validation signals, so that a model that looks what it has to do is counted as it is."""
        signals, _ = task.supplies["validation"].take([0])
        return Step("recognise", "recognise", (np.asarray(signals),), units=1)

    # --- for the judge ---

    def exam(self, setting: Setting) -> Exam:
        only_the_judge("the signals that signal-recognition asks")
        return Exam(
            asked=labelled(setting.base, "test"),
            held=self._held(setting),
            batch=self.settings["batch"][setting.scale],
            rng=np.random.default_rng([setting.seed, 0xD0BB7]),
        )

    def evaluate(self, served: ServedRecogniser, exam: Exam) -> Sequence[Score]:
        answers, held = (ask(served, asked) for asked in (exam.asked, exam.held))
        exam.answers = answers
        losses = np.array(scores.nll("nll", held, exam.held.labels).samples)
        exam.losses[:] = losses[: len(losses) // exam.batch * exam.batch].reshape(-1, exam.batch).mean(1).tolist()
        labels, snr = exam.asked.labels, exam.asked.snr
        return [
            scores.top1("accuracy", answers, labels),
            scores.nll("nll", answers, labels),
            *(
                scores.top1(f"accuracy_{name}", answers[snr == level], labels[snr == level])
                for name, level in LEVELS.items()
            ),
        ]

    def doubts(self, served: ServedRecogniser, exam: Exam) -> tuple[str, str] | None:
        return doubt(served, exam)

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        return [workloads.recognise(), workloads.training(exam.held, exam.batch, exam.losses)]

    # --- the data ---

    def _training(self, setting: Setting) -> Labelled:
        """All but the validation signals."""
        whole = labelled(setting.base, "train")
        return whole.part(slice(len(whole) - self._held_count(setting)))

    def _held(self, setting: Setting) -> Labelled:
        whole = labelled(setting.base, "train")
        return whole.part(slice(len(whole) - self._held_count(setting), None))

    def _held_count(self, setting: Setting) -> int:
        count: int = self.settings["held"][setting.scale]
        return count
