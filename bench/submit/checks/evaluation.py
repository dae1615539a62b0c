"""Check: a method never sees the data that it is scored on."""

from collections.abc import Iterator

from bench.contract import ExamRead
from bench.run.rules import EXAM_READ
from bench.submit.checks.check import Check
from bench.submit.checks.imports import imported_modules
from bench.submit.subject import MethodSubject


def problems(subject: MethodSubject) -> Iterator[str]:
    for place, text in subject.texts.items():
        for number, module in imported_modules(text):
            if module.startswith("suites.") and "evaluation" in module.split("."):
                yield f"{place.name}:{number}: {module} is for scoring"
    for job, trial in subject.trials():
        if (trial.outcome.reason or "").startswith((EXAM_READ, ExamRead.__name__)):
            yield f"{job.variant} at {job.point}: {trial.outcome.reason}"


CHECK = Check(
    "evaluation",
    guards="methods are built from calibration and training data, never from what they are scored on",
    mend="draw from the task (task.calibration(...), task.training(...)); import nothing of the suite's evaluation",
    problems=problems,
)
