"""Check: a method works without network."""

from collections.abc import Iterator

from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject


def problems(subject: MethodSubject) -> Iterator[str]:
    for job, trial in subject.trials():
        if trial.connections:
            yield f"{job.variant} at {job.point} tried to reach {', '.join(dict.fromkeys(trial.connections))}"


CHECK = Check(
    "network",
    guards="what is built hangs on the task and the code alone, today and in a year",
    mend="download nothing: data and weights come from the task, through the suite",
    problems=problems,
)
