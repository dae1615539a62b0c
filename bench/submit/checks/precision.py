"""Check: a method works in the type of number that the default scale's base has, which toy weights need not have."""

import re
from collections.abc import Iterator
from dataclasses import replace

from bench.record.schema import FAILURES
from bench.run.plan import Job
from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject

DEFAULT_SCALE = "embedded"
_FRAME = re.compile(r'^ *File "([^"\n]*)", line (\d+)', re.MULTILINE)


def problems(subject: MethodSubject) -> Iterator[str]:
    dtype = subject.info.dtype.get(DEFAULT_SCALE)
    if dtype is None or dtype == subject.info.dtype.get("tiny"):
        return
    for job in _jobs(subject):
        trial = subject.trial(replace(job, dtype=dtype))
        if trial.outcome.status in FAILURES:
            yield (
                f"{job.variant} at {job.point} in {dtype}, the type of the base at the {DEFAULT_SCALE} scale: "
                f"{trial.outcome.status}: {trial.outcome.reason}{_place(subject, trial.log)}"
            )


def _jobs(subject: MethodSubject) -> list[Job]:
    """Of every variant the last operating point, as a rule the strictest, of each kind of limit that it can meet."""
    chosen = {}
    for job in subject.jobs:
        if subject.trial(job).outcome.status == "ok":
            limits = subject.info.points[job.point].limits.result
            chosen[job.variant, job.problem, frozenset(limits)] = job
    return list(chosen.values())


def _place(subject: MethodSubject, log: str) -> str:
    """Where it was raised: the innermost line that is the method's own, or its helpers', of the last traceback."""
    frames = _FRAME.findall(log.rpartition("Traceback (most recent call last)")[2])
    own = [(path, line) for path, line in frames if any(path.endswith(str(place)) for place in subject.texts)]
    return f" ({own[-1][0].rpartition('/')[2]}:{own[-1][1]})" if own else ""


CHECK = Check(
    "precision",
    guards="what is tried on toy weights works on the real ones, which have another type of number",
    mend="take the types of new tensors from the weights (x.new_zeros(...), dtype=weight.dtype), and compute in "
    "float32 what has no kernel for it (x.float()), such as inverses and decompositions",
    problems=problems,
)
