"""What all problems of the suite have in common."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from bench.contract import Built, MissingAsset, Problem, Score, Setting, Step, Supply, Tuning, Workload
from bench.contract.cache import made_once
from bench.contract.supply import AtHand, Meter
from suites._language import text
from suites._language.base import load_model, load_tokenizer, prepare_base
from suites._language.base import missing as base_missing
from suites._language.evaluation.doubts import RULE, doubt
from suites._training import tally
from suites._training.loop import validation_loss
from suites._training.rig import Rig
from suites.lm_finetuning import answers
from suites.lm_finetuning import examples as data
from suites.lm_finetuning.batches import Batch, Row, encoded, padding, side_by_side
from suites.lm_finetuning.exam import Exam
from suites.lm_finetuning.examples import TASKS, examples
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.reading import check_apart
from suites.lm_finetuning.served import ServedPatch
from suites.lm_finetuning.supplies import Examples, Listing
from suites.lm_finetuning.task import BATCH, VALIDATION, FineTuningTask
from suites.lm_finetuning.workloads import speaking

TaskT = TypeVar("TaskT", bound=FineTuningTask)
ExamT = TypeVar("ExamT", bound=Exam)


class FineTuning(Problem[TaskT, ExamT]):
    """Candidates are patches on the base (patches.py). Derived problems say what else there is to learn from, to be
    asked, and to be timed."""

    # --- what it starts from ---

    def missing(self, scale: str, base: str) -> str | None:
        packages = (text.missing() or data.missing()) if scale != "tiny" else None
        return base_missing(scale, base) or packages

    def prepare(self, setting: Setting) -> None:
        if problem := self.missing(setting.scale, setting.base):
            raise MissingAsset(problem)
        prepare_base(setting.scale, setting.base)
        self.make_inputs(setting)
        _base_losses(self, setting)

    def make_inputs(self, setting: Setting) -> None:
        """What the problem starts from besides a base; kept in the cache."""
        return

    def base(self, setting: Setting) -> Any:
        """The model that is adapted, a new one at each call."""
        return load_model(setting.scale, setting.base, setting.device)

    def of_the_base(self, setting: Setting) -> str:
        """What tells the model that is adapted from others."""
        return setting.base

    # --- for the builder ---

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        return {"validation": Examples(self.held(setting), None)}

    @abstractmethod
    def task(self, setting: Setting) -> TaskT: ...

    def shared(self, setting: Setting) -> dict[str, Any]:
        """Fields that every task has."""
        scale = setting.scale
        return {
            "scale": scale,
            "seed": setting.seed,
            "device": setting.device,
            "limits": setting.point.limits,
            "load_model": partial(self.base, setting),
            "load_tokenizer": partial(load_tokenizer, scale, setting.base),
            "most_tokens": self.settings["tokens"][scale],
            "level": self.settings["level"][scale],
            "seconds": self.settings["seconds"][scale] if setting.point.clock else None,
        }

    def spent(self, task: TaskT) -> Mapping[str, float]:
        return tally.spent()

    def tuning(self, setting: Setting) -> Tuning[TaskT]:
        """By the loss over the validation examples."""
        task = self.task_at_hand(setting)

        def loss(built: Built) -> float:
            served = self.serve(built.candidate, task)
            return validation_loss(AnswerLearner(served.model), task.validation())

        return Tuning(task, loss)

    # --- for servers ---

    def outfit(self, task: TaskT) -> None:
        """The base that patches are on, its tokenizer, and what a training is weighed on."""
        _ = task.model
        held = encoded(task.tokenizer, _validation(task.scale))
        task.supplies = {"validation": AtHand(Examples(held, None), Meter(task.limits))}

    def serve(self, candidate: Any, task: TaskT) -> ServedPatch:
        return ServedPatch(candidate, task.model, task.tokenizer, task.device)

    def serve_rig(self, rig: Any, task: TaskT) -> Rig[Batch]:
        return Rig(rig, task.device, task.validation()[0], Batch.of)

    def counted(self, task: TaskT) -> Step:
        """One forward pass of the adapted model over the validation examples' first batch."""
        ids = task.validation()[0].input_ids
        return Step("forward", "forward", (ids.cpu().numpy(),), units=ids.numel())

    # --- for the judge ---

    @abstractmethod
    def exam(self, setting: Setting) -> ExamT: ...

    def asked(self, setting: Setting) -> dict[str, Any]:
        """Fields that every exam has."""
        tokenizer = load_tokenizer(setting.scale, setting.base)
        held = self.held(setting)
        batches = [side_by_side(held[i : i + BATCH], padding(tokenizer), "cpu") for i in range(0, len(held), BATCH)]
        return {
            "scale": setting.scale,
            "tokenizer": tokenizer,
            "asked": {task: examples(setting.scale, task, "evaluation") for task in TASKS},
            "passages": answers.ordinary_text(setting.scale),
            "before": _base_losses(self, setting),
            "held": batches,
            "rng": np.random.default_rng([setting.seed, 0xD0BB7]),
        }

    def evaluate(self, served: Any, exam: ExamT) -> Sequence[Score]:
        lm = exam.model(served)
        found = answers.accuracies({task: answers.right(lm, exam.asked[task]) for task in TASKS})
        return [*found, *answers.forgetting([answers.losses(lm, exam.passages)], exam.before, exam.passages)]

    def doubts(self, served: Any, exam: ExamT) -> tuple[str, str] | None:
        found = doubt(exam.kept, served, exam.dtype)
        return None if found is None else (RULE, found)

    def workloads(self, exam: ExamT) -> Sequence[Workload]:
        return speaking(exam, **self.settings["lengths"][exam.scale])

    def held(self, setting: Setting) -> list[Row]:
        """The validation examples."""
        return encoded(load_tokenizer(setting.scale, setting.base), _validation(setting.scale))


def training_examples(scale: str) -> list[data.Example]:
    """All that may be trained on, task after task."""
    return [example for task in TASKS for example in examples(scale, task, "training")[:-VALIDATION]]


def training_rows(setting: Setting) -> Sequence[Row]:
    """The same as token ids."""
    return _training_rows(setting.scale, setting.base)


@cache
def _training_rows(scale: str, base: str) -> Sequence[Row]:
    return encoded(load_tokenizer(scale, base), training_examples(scale))


def training_supplies(rows: Sequence[Row]) -> Mapping[str, Supply]:
    """The examples of a LearningTask."""
    return {
        "listing": Listing(rows),
        "training": Examples(rows, "training_tokens"),
        "search": Examples(rows, "search_tokens"),
    }


def _validation(scale: str) -> list[data.Example]:
    return [example for task in TASKS for example in examples(scale, task, "training")[-VALIDATION:]]


def _base_losses(problem: FineTuning[Any, Any], setting: Setting) -> list[float]:
    """The losses over ordinary text of the model that is adapted: of the exam, since what was forgotten is the
    difference to them. Found out once, where it is also seen whether the model can be trained here at all."""

    def write(folder: Path) -> None:
        from suites._language.evaluation.evaluator import EffbenchLM

        model, tokenizer = problem.base(setting), load_tokenizer(setting.scale, setting.base)
        check_apart(model, side_by_side(problem.held(setting)[:2], padding(tokenizer), setting.device))
        passages = answers.ordinary_text(setting.scale)
        (folder / "losses").write_text(json.dumps(answers.losses(EffbenchLM(model, tokenizer), passages)))

    # Rounding differs between devices, and with the number of threads.
    device = torch.device(setting.device).type
    parts = [problem.of_the_base(setting), setting.scale, text.VERSION, answers.TEXT_WORDS[setting.scale], device]
    digest = hashlib.sha256(repr([*parts, torch.get_num_threads()]).encode()).hexdigest()[:12]
    kept = made_once("data", f"base-losses-{digest}", write)
    return [float(each) for each in json.loads((kept / "losses").read_text())]
