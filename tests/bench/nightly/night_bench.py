"""A board with a history: the toy suite, an executor that gives what a test says, and a clock that it moves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np

from bench.contract.registry import Registry
from bench.record import store
from bench.record.schema import Outcome, Record, Samples, Timing
from bench.run.plan import Job, make_plan
from bench.run.runner import run_job

SECONDS = 10.0


@dataclass
class Bench:
    """What every run finds. slow: job -> how much slower than half of the baseline; error: the score."""

    slow: Callable[[Job], float] = lambda job: 1.0
    error: Callable[[Job], float] = lambda job: 100.0
    status: Callable[[Job], str] = lambda job: "ok"
    baseline: float = 0.01
    noise: float = 0.002
    now: float = 0.0
    ran: list[Job] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def execute(self, job: Job, timeout: float, protected: Sequence[Path]) -> tuple[Outcome, str]:
        """Takes the place of the local executor."""
        self.ran.append(job)
        self.now += SECONDS
        if self.status(job) != "ok":
            return Outcome(status=self.status(job), reason="it broke | here"), ""
        share = 1.0 if job.method == "toy-dense" else 0.5 * self.slow(job)
        base = self.baseline * np.exp(self.noise * self.rng.standard_normal(20))
        ours = share * self.baseline * np.exp(self.noise * self.rng.standard_normal(20))
        timing = Timing(candidate=ours.tolist(), baseline=base.tolist(), units=1, unit="call", converged=True)
        outcome = Outcome(
            status="ok",
            quality={"error": Samples(samples=[self.error(job)] * 4)},
            figures={"stored_bytes": 1000.0},
            timings={"sum": {"sum": timing}},
        )
        return outcome, ""

    def clock(self) -> float:
        """Seconds that the runs so far would have taken."""
        return self.now


def jobs_of(registry: Registry, *methods: str) -> list[Job]:
    return make_plan(registry, suite="toy", methods=methods, points=["unlimited"], scale="tiny", seeds=[0], threads=1)


def past_nights(
    registry: Registry, bench: Bench, results: Path, jobs: Sequence[Job], nights: int, **environment: object
) -> list[Record]:
    """Records of so many nights before tonight, one run of each job a night."""
    records = []
    for job in jobs:
        first = run_job(registry, job, results, timeout=None, executor=bench.execute)
        changed = first.environment.model_copy(update=environment)
        for night in range(nights, 0, -1):
            outcome, _ = bench.execute(job, 0.0, ())
            update = {name: getattr(outcome, name) for name in type(outcome).model_fields} | {
                "id": f"{job.method}-{job.variant}-{night}",
                "started": first.started - timedelta(days=night),
                "seconds": SECONDS,
                "environment": changed,
            }
            records.append(first.model_copy(update=update))
            store.append(results, records[-1])
    bench.ran.clear()
    bench.now = 0.0
    return records
