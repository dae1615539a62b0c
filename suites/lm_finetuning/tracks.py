"""The tracks of the suite: what each gives to a method besides examples, and how it is scored."""

import random
from collections.abc import Sequence
from typing import Any

from bench.contract import Score
from suites._language.evaluation.evaluator import EffbenchLM
from suites.lm_finetuning import prepared
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.evaluation import accuracies, accuracies_by_task, forgetting, right
from suites.lm_finetuning.examples import TASKS, examples
from suites.lm_finetuning.faults import fault
from suites.lm_finetuning.task import FineTuningTask

DELETIONS = {"tiny": 4, "embedded": 12, "full": 60}
STOPS = 3
"""How often the accuracy is taken while deletions are served, besides before the first."""


def given(task: FineTuningTask, base: str) -> Any:
    """The track's own input: LoRAs by task (merge), a `Source` (transfer), or None. The task of `repair` gets the
    faulty model in place of the base."""
    if task.track == "merge":
        return prepared.single_task_loras(task, base)
    if task.track == "transfer":
        return prepared.source(task, base)
    if task.track == "repair":
        task.model = prepared.faulty_model(task, base)
    return None


def scores(candidate: Tuned, task: FineTuningTask) -> list[Score]:
    """The scores of the task's track; `accuracy` is among them in all."""
    found = _unlearning(candidate, task) if task.track == "unlearn" else _answers(candidate, task)
    models = list(candidate.by_task.values()) or [candidate.model]
    return [*found, *forgetting(models, task.model, task.tokenizer, task.scale)]


def _answers(candidate: Tuned, task: FineTuningTask) -> list[Score]:
    models = candidate.by_task or dict.fromkeys(TASKS, candidate.model)
    found = accuracies_by_task(models, task.tokenizer, task.scale)
    if task.track == "transfer":
        adapted = prepared.merged(task.given.model, prepared.updates(task.given.adapter))
        found.append(_renamed("source_accuracy", accuracies(adapted, task.tokenizer, task.scale)[0]))
    if task.track == "repair":
        found += _repaired(candidate.model, task)
    return found


def _repaired(model: Any, task: FineTuningTask) -> list[Score]:
    """`repaired`: right answers where the model was taught wrong ones. `undamaged`: where it was taught right ones."""
    asked = [example for name in task.examples for example in examples(task.scale, name, "evaluation")]
    lm = EffbenchLM(model, task.tokenizer)
    faulty = [example for example in asked if fault(example)]
    sound = [example for example in asked if not fault(example)]
    return [Score("repaired", right(lm, faulty)), Score("undamaged", right(lm, sound))]


def _unlearning(candidate: Tuned, task: FineTuningTask) -> list[Score]:
    """`accuracy`: over the evaluation examples before the first deletion and at STOPS moments of the stream, so that it
    says how the service holds out. `served`: 1 for each deletion that needed no training, 0 for the others."""
    if candidate.delete is None:
        raise ValueError("the track unlearn asks for deletions: this candidate has no `delete`")
    count = DELETIONS[task.scale]
    stream = random.Random(f"deletions {task.seed}").sample(range(len(task.pool())), count)
    taken = [accuracies(candidate.model, task.tokenizer, task.scale)]
    served: list[float] = []
    for number, index in enumerate(stream, start=1):
        served.append(float(candidate.delete(index)))
        if number % (count // STOPS) == 0:
            taken.append(accuracies(candidate.model, task.tokenizer, task.scale))
    first, last = taken[0], taken[-1]
    whole = [sample for each in taken for sample in each[0].samples]
    return [
        Score("accuracy", whole),
        Score("served", served),
        _renamed("accuracy_before_deletions", first[0]),
        _renamed("accuracy_after_deletions", last[0]),
        *last[1:],
    ]


def _renamed(name: str, score: Score) -> Score:
    return Score(name, score.samples, score.weights, score.aggregate)


def unsupported(task: FineTuningTask, tracks: Sequence[str]) -> str | None:
    """For methods: why this one can't be run on the task's track, or None if it can."""
    if task.track in tracks:
        return None
    return f"is a method for {', '.join(tracks)}, not for the track {task.track!r}"
