"""A board with a history: the toy suite, an executor that gives what a test says, and a clock that it moves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np

from bench.record import store
from bench.record.schema import Build, Isolation, Outcome, Record, Samples, Timing
from bench.registry import Registry
from bench.run.order import Order
from bench.run.plan import Job, Selection, make_plan
from bench.run.runner import planned, run_one

SECONDS = 10.0
SLUGS = {
    "Dense": "toy-dense", "Half": "toy-half", "TooLarge": "toy-large", "AltersTheBase": "toy-vandal",
    "DrawsTooMuch": "toy-greedy",
}  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """A run that was asked for. share: tells the variants apart."""

    method: str
    share: float
    seed: int


@dataclass
class Bench:
    """Takes the place of the local executor: what every run finds. slow: run -> how much slower than half of the
    baseline; error: the score."""

    slow: Callable[["Ran"], float] = lambda ran: 1.0
    error: Callable[["Ran"], float] = lambda ran: 100.0
    status: Callable[["Ran"], str] = lambda ran: "ok"
    baseline: float = 0.01
    noise: float = 0.002
    now: float = 0.0
    ran: list["Ran"] = field(default_factory=list)
    isolation: Isolation = "none"
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def execute(self, order: Order, timeout: float, preload: Sequence[str] = ()) -> tuple[Outcome, str]:
        ran = Ran(SLUGS[order.method.name], order.method.fields.get("share", 0.5), order.seed)
        self.ran.append(ran)
        self.now += SECONDS
        if self.status(ran) != "ok":
            return Outcome(status=self.status(ran), reason="it broke | here"), ""
        share = 1.0 if ran.method == "toy-dense" else 0.5 * self.slow(ran)
        base = self.baseline * np.exp(self.noise * self.rng.standard_normal(20))
        ours = share * self.baseline * np.exp(self.noise * self.rng.standard_normal(20))
        timing = Timing(candidate=ours.tolist(), baseline=base.tolist(), units=1, unit="call", converged=True)
        outcome = Outcome(
            status="ok",
            quality={"error": Samples(samples=[self.error(ran)] * 4)},
            figures={"stored_bytes": 1000.0},
            build=Build(seconds=1.0, peak_memory_bytes=1.0),
            timings={"sum": {"sum": timing}},
        )
        return outcome, ""

    def clock(self) -> float:
        """Seconds that the runs so far would have taken."""
        return self.now


def jobs_of(registry: Registry, *methods: str) -> list[Job]:
    return make_plan(registry, Selection("toy", methods, ["unlimited"], scale="tiny", seeds=[0], threads=1))


def past_nights(
    registry: Registry, bench: Bench, results: Path, jobs: Sequence[Job], nights: int, **environment: object
) -> list[Record]:
    """Records of so many nights before tonight, one run of each job a night."""
    records = []
    for job in jobs:
        each = planned(registry, job)
        first = run_one(each, results, timeout=None, executor=bench)
        changed = first.environment.model_copy(update=environment)
        for night in range(nights, 0, -1):
            outcome, _ = bench.execute(each.order, 0.0)
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
