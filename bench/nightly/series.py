"""Which figures are followed: the primary score, every ratio of times, and what is counted or weighed, seed by seed."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bench.analyse.problems import problem_at
from bench.analyse.regressions import Kind, Noise, Run, between_runs, timed, untimed
from bench.analyse.rows import Board, board_of
from bench.analyse.summary import costs, quality
from bench.measure.statistics import MIN_PAIRS, Estimate
from bench.record.schema import Record
from bench.registry import SuiteInfo


class Configuration(NamedTuple):
    """What is run again and again: everything that tells two runs apart but their time."""

    board: Board
    method: str
    variant: str
    seed: int

    @property
    def name(self) -> str:
        """For people."""
        variant = "" if self.variant == "default" else f":{self.variant}"
        seed = f", seed {self.seed}" if self.seed else ""
        return f"{self.method}{variant} at {self.board.point}{seed}"


class Series(NamedTuple):
    """One figure of one configuration. items: over how many it was scored; other items are another series."""

    configuration: Configuration
    figure: str
    kind: Kind
    items: int


History = dict[Series, list[Run]]


def configuration_of(record: Record) -> Configuration:
    """The configuration that a record is a run of."""
    return Configuration(board_of(record), record.method, record.variant, record.seed)


def runs_of(record: Record, info: SuiteInfo) -> dict[Series, Run]:
    """One run of every series that the record belongs to; nothing if it is not ok."""
    if record.status != "ok":
        return {}
    where, when = configuration_of(record), record.started.timestamp()
    problem = problem_at(info, record.point)
    better = {name: metric.better for name, metric in problem.metrics.items()}
    found: dict[Series, Run] = {}

    def exact(name: str, kind: Kind, value: float, items: int) -> None:
        found[Series(where, name, kind, items)] = untimed(when, value, better.get(name, "lower"))

    primary = problem.primary.name
    if primary in record.quality:
        estimate = quality(record.model_copy(update={"quality": {primary: record.quality[primary]}}))[primary]
        exact(primary, "quality", estimate.value if not math.isnan(estimate.value) else math.inf, estimate.n)
    for name, value in record.figures.items():
        if name in problem.costs:
            exact(name, "exact", value, 1)
    for name, cost in costs(record).items():
        if name.endswith(".ratio") and cost.kind == "measured" and cost.n >= MIN_PAIRS and cost.value and cost.low > 0:
            ratio = Estimate(cost.value, cost.low, cost.high, None, cost.n)
            found[Series(where, name, "speed", 0)] = timed(when, ratio)
    return found


def history_of(records: Iterable[Record], suites: Mapping[str, SuiteInfo]) -> History:
    """All series of the records, each in the order of its runs."""
    history: History = defaultdict(list)
    for record in sorted(records, key=lambda record: record.started):
        if record.suite in suites:
            for series, run in runs_of(record, suites[record.suite]).items():
                history[series].append(run)
    return dict(history)


class Noises:
    """The noise of every series: estimated over those that measure the same figure of the same suite and hardware."""

    def __init__(self, history: History) -> None:
        alike: dict[tuple[str, str, str, str], list[list[Run]]] = defaultdict(list)
        for series, runs in history.items():
            alike[self._group(series)].append(runs)
        kinds = {self._group(series): series.kind for series in history}
        self._between = {group: between_runs(runs, kinds[group]) for group, runs in alike.items()}
        self._watched = Counter(series.kind for series in history)

    def of(self, series: Series) -> Noise:
        """Noise of a series; a guess for a figure that was never seen. Chance is shared among those of its kind."""
        between = self._between.get(self._group(series))
        return Noise(
            series.kind, between_runs([], series.kind) if between is None else between, self._watched[series.kind]
        )

    @staticmethod
    def _group(series: Series) -> tuple[str, str, str, str]:
        board = series.configuration.board
        return board.suite, board.hardware, board.scale, series.figure
