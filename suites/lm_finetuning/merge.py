"""Merging: LoRAs that know one task each become one adapter that knows all, without training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from bench.contract import Score, Setting
from suites.lm_finetuning import answers, prepared
from suites.lm_finetuning.exam import Exam
from suites.lm_finetuning.examples import TASKS
from suites.lm_finetuning.lora import LoRA
from suites.lm_finetuning.patches import Patch
from suites.lm_finetuning.problem import FineTuning
from suites.lm_finetuning.served import ServedPatch
from suites.lm_finetuning.task import FineTuningTask


@dataclass(kw_only=True)
class MergingTask(FineTuningTask):
    """Make one adapter of those that are given. load_loras: is called when they are first asked for."""

    load_loras: Any = field(repr=False)

    @cached_property
    def loras(self) -> Mapping[str, LoRA]:
        """By task, each trained on that task alone."""
        found: Mapping[str, LoRA] = self.load_loras()
        return found


@dataclass(frozen=True)
class PatchByTask(Patch):
    """A patch for the examples of each task, where one is not to know all of them: a ceiling for merging."""

    patches: Mapping[str, Patch]

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return {f"{task}.{name}": t for task, patch in self.patches.items() for name, t in patch.tensors.items()}

    def applied(self, base: Any) -> Any:
        """That of the first task."""
        return next(iter(self.patches.values())).applied(base)


class ServedMerge(ServedPatch):
    """An adapted model, or one for each task."""

    def __init__(self, patch: Patch, base: Any, tokenizer: Any, device: str) -> None:
        super().__init__(patch, base, tokenizer, device)
        self._models: dict[str, Any] = {}
        if isinstance(patch, PatchByTask):
            first, *others = patch.patches
            self._models = {first: self.model} | {task: patch.patches[task].applied(base) for task in others}

    def specialists(self) -> list[str]:
        """Tasks that have a model of their own."""
        return list(self._models)

    def turn_to(self, task: str) -> None:
        """From now on the model of this task answers."""
        self.model = self._models[task]
        self._model_changed()

    def resident(self) -> Any:
        return self._models or self.model


class Merging(FineTuning[MergingTask, Exam]):
    """Nothing is trained."""

    def make_inputs(self, setting: Setting) -> None:
        prepared.make_single_task_loras(setting)

    def task(self, setting: Setting) -> MergingTask:
        def load() -> Mapping[str, LoRA]:
            return {name: prepared.lora(setting, name) for name in TASKS}

        return MergingTask(load_loras=load, **self.shared(setting))

    def serve(self, candidate: Any, task: MergingTask) -> ServedMerge:
        return ServedMerge(candidate, task.model, task.tokenizer, task.device)

    def exam(self, setting: Setting) -> Exam:
        return Exam(**self.asked(setting))

    def evaluate(self, served: ServedMerge, exam: Exam) -> Sequence[Score]:
        specialists = served.specialists()
        if not specialists:
            return super().evaluate(served, exam)

        def model_of(task: str) -> Any:
            served.turn_to(task)
            return exam.model(served)

        found = answers.accuracies({task: answers.right(model_of(task), exam.asked[task]) for task in TASKS})
        after = [answers.losses(model_of(task), exam.passages) for task in specialists]
        return [*found, *answers.forgetting(after, exam.before, exam.passages)]
