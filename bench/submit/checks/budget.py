"""Check: at tiny scale a method ends within the limits of every operating point, or says why it can't."""

from collections.abc import Iterator

from bench.record.schema import Outcome
from bench.registry import SuiteInfo
from bench.run.plan import Job
from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject

SHORTEST_REASON = 16


def problems(subject: MethodSubject) -> Iterator[str]:
    for variant in subject.variants:
        if variant not in subject.first_ok:
            yield f"variant {variant!r} is ok at no operating point"
    for job, trial in subject.trials():
        yield from (f"{job.variant} at {job.point}: {problem}" for problem in _of(subject.info, job, trial.outcome))


def _of(info: SuiteInfo, job: Job, outcome: Outcome) -> Iterator[str]:
    if outcome.status == "unsupported":
        if len(outcome.reason or "") < SHORTEST_REASON:
            yield f"`supports` gives {outcome.reason!r} as its reason; say it in a sentence"
        return
    if outcome.status != "ok":
        yield f"{outcome.status}: {outcome.reason}"
        return
    primary = info.problem_of(job.point).primary.name
    if primary not in outcome.quality:
        yield f"the problem scored no {primary}"
    if job.timed and not outcome.timings:
        yield "no workload was timed"


CHECK = Check(
    "budget",
    guards="every variant builds within the limits of every operating point at tiny scale, is scored and timed",
    mend="ask task.weigh(candidate) until task.limits.met_by(...) holds; where it never can, let `supports` say why",
    problems=problems,
)
