"""Check: a method never sees the data that it is scored on."""

from collections.abc import Iterator

from bench.contract import EvaluationSplitRead
from bench.run.integrity.evaluation import RULE
from bench.submit.checks.check import Check
from bench.submit.checks.imports import imported_modules
from bench.submit.subject import MethodSubject


def problems(subject: MethodSubject) -> Iterator[str]:
    for file in subject.files:
        for number, module in imported_modules(file.read_text()):
            if module.startswith("suites.") and "evaluation" in module.split("."):
                yield f"{file.name}:{number}: {module} is for scoring"
    for job, trial in subject.trials():
        if (trial.outcome.reason or "").startswith((RULE, EvaluationSplitRead.__name__)):
            yield f"{job.variant} at {job.point}: {trial.outcome.reason}"


CHECK = Check(
    "evaluation",
    guards="methods are built from calibration and training data, never from what they are scored on",
    mend="draw from the task (task.calibration(...), task.training(...)); import nothing of the suite's evaluation",
    problems=problems,
)
