"""Scores from other hardware, for the seeds that a board lacks: the same code and seed score the same there, to
rounding, which moves a score about as much as another seed does. What is timed never crosses."""

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

from bench.analyse.problems import problem_at
from bench.record.schema import Record
from bench.registry import SuiteInfo


class Run(Protocol):
    """What a record and its entry in the catalogue have in common."""

    @property
    def point(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def variant(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def status(self) -> str: ...


RunT = TypeVar("RunT", bound=Run)


def seeds_elsewhere(points: Collection[str], own: Sequence[Run], others: Sequence[RunT], info: SuiteInfo) -> list[RunT]:
    """The newest successful run on other hardware of every seed that was not run here, at these points.

    own, others: runs of one suite, version, scale and base, on this hardware and on others, oldest first. Nothing is
    taken for a point whose clock decides how much is done (`clock`): its scores are a machine's.
    """
    here = {_seed(run) for run in own}
    open_points = {name for name in points if name in info.points and not info.points[name].clock}
    found = {
        _seed(run): run for run in others if run.status == "ok" and run.point in open_points and _seed(run) not in here
    }
    return list(found.values())


def filled(own: Sequence[Record], lent: Sequence[Record]) -> list[Record]:
    """The own records with the lent ones, each in place of the own record of its seed if there is one."""
    taken = {_seed(record) for record in lent}
    return [*(record for record in own if _seed(record) not in taken), *lent]


def scores_alone(record: Record, hardware: str, info: SuiteInfo) -> Record:
    """The record as it counts on a board of other hardware: its scores, and the exact figures of its result.

    Its environment still names the hardware that it ran on (`Row.elsewhere` goes by that).
    """
    scores = problem_at(info, record.point).scores
    return record.model_copy(
        update={
            "hardware": hardware,
            "quality": {name: samples for name, samples in record.quality.items() if name in scores},
            "timings": {},
            "throughput": {},
            "energy": {},
            "memory": {},
            "build": None,
        }
    )


def agreeing(own: Sequence[Record], lent: Sequence[Record]) -> list[Record]:
    """Those of the lent records that ran with the hyper-parameters of the newest own record of their row, if any."""
    newest = {_row(record): record for record in sorted(own, key=lambda record: record.started)}
    return [r for r in lent if _row(r) not in newest or newest[_row(r)].hyperparameters == r.hyperparameters]


def _row(run: Run) -> tuple[str, str, str]:
    return run.point, run.method, run.variant


def _seed(run: Run) -> tuple[str, str, str, int]:
    return *_row(run), run.seed
