"""Check: one seed, one result; and another seed another result only where the card says so."""

from collections.abc import Iterator
from dataclasses import replace

from bench.record.schema import Outcome
from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject


def problems(subject: MethodSubject) -> Iterator[str]:
    for job in subject.timed_jobs():
        label = f"{job.variant} at {job.point}"
        first = subject.trial(replace(job, timed=False)).outcome
        second = subject.trial(job).outcome
        if second.status == "ok":
            yield from (f"{label}: two runs with seed 0 differ in {what}" for what in _differences(first, second))
        if subject.listed.card.stochastic:
            continue
        other = subject.trial(replace(job, timed=False, seed=1)).outcome
        if other.status != "ok":
            yield f"{label}: {other.status} with seed 1: {other.reason}"
        elif other.quality != first.quality:
            yield f"{label}: the result depends on the seed: set stochastic=True on the card"


def _differences(first: Outcome, second: Outcome) -> list[str]:
    """Names of what two outcomes do not share."""
    differing = [f"score {name}" for name in first.quality if first.quality[name] != second.quality.get(name)]
    differing += [f"figure {name}" for name in first.figures if first.figures[name] != second.figures.get(name)]
    if first.build is not None and second.build is not None and first.build.drawn != second.build.drawn:
        differing.append("what was drawn from the task's supplies")
    return differing


CHECK = Check(
    "determinism",
    guards="a run can be repeated: the same seed gives the same scores, figures and draws",
    mend="take all randomness from task.seed (torch.Generator().manual_seed(task.seed)); iterate over no set",
    problems=problems,
)
