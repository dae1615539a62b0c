"""Scores from other hardware, for the seeds that a board lacks: the same code and seed score the same there, to
rounding, which moves a score no more than another seed does. What is timed never crosses."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from bench.contract import SuiteInfo
from bench.record.schema import Record


class Run(Protocol):
    """What a record and its entry in the catalogue have in common."""

    @property
    def suite_version(self) -> str: ...
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
    @property
    def started(self) -> datetime | float: ...


RunT = TypeVar("RunT", bound=Run)


def seeds_elsewhere(own: Sequence[RunT], others: Sequence[RunT], info: SuiteInfo) -> list[RunT]:
    """The newest successful run on other hardware of every seed that was not run here.

    own, others: runs of one suite, scale and base, on this hardware and on others, oldest first. Nothing is taken for a
    version or a point that has no run here, nor for a point whose clock decides how much is done (`clock` in its
    settings): its scores are those of a machine.
    """
    boards = {(run.suite_version, run.point) for run in own}
    here = {(run.suite_version, run.point, run.method, run.variant, run.seed) for run in own}
    found = {}
    for run in others:
        board = run.suite_version, run.point
        seed = (*board, run.method, run.variant, run.seed)
        point = info.points.get(run.point)
        clocked = point is None or bool(point.settings.get("clock"))
        if run.status == "ok" and board in boards and seed not in here and not clocked:
            found[seed] = run
    return list(found.values())


def scores_alone(record: Record, hardware: str, info: SuiteInfo) -> Record:
    """The record as it counts on a board of other hardware: its scores, and the exact figures of its result.

    Its environment still names the hardware that it ran on (`Row.elsewhere` goes by that).
    """
    return record.model_copy(
        update={
            "hardware": hardware,
            "quality": {name: samples for name, samples in record.quality.items() if name in info.scores},
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


def _row(record: Record) -> tuple[str, ...]:
    return record.suite_version, record.point, record.method, record.variant
