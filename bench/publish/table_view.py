"""One table: the rows of a board, formatted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bench.analyse.controls import unbeaten
from bench.analyse.floors import guessing
from bench.analyse.problems import problem_at
from bench.analyse.ranks import ranks
from bench.analyse.rows import Board, Row, few_seeds
from bench.analyse.summary import Cost, figure, unit_of
from bench.contract import OperatingPoint
from bench.publish.format import carries_unit, interval, number, quantity, rank, scaled, with_unit
from bench.publish.paths import record_address
from bench.registry import Listed, ProblemInfo, Registry, SuiteInfo
from bench.registry.metrics import Metric

Ranks = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Cell:
    """A figure as it is shown. kind: as in `Cost`. sort: orders the column; the worst number where there is none."""

    text: str
    interval: str
    n: int
    kind: str
    sort: float
    rank: str = ""


@dataclass(frozen=True)
class Line:
    """A row of the table. unbeaten: controls that it does not beat. `reason` is set if no seed succeeded.

    stale: what is not today's any more in what it was measured with.
    tied: how many neighbours share its rank, itself included. band: alternates between groups of ties.
    elsewhere: how many of its seeds other hardware ran. asked: how many seeds the suite asks for.
    few_seeds: it hangs on its seed, and has too few to tell by how much. guessing: "no better than guessing", "worse
    than guessing", or empty.
    """

    name: str
    method: str
    family: str
    kind: str
    status: str
    reason: str
    rank: str
    tied: int
    band: int
    seeds: int
    elsewhere: int
    asked: int
    few_seeds: bool
    failed: Sequence[tuple[int, str, str]]
    guessing: str
    unbeaten: Sequence[str]
    stale: Sequence[str]
    cells: Sequence[Cell]
    address: str


@dataclass(frozen=True)
class Table:
    """A board: its operating point, budget, columns, and lines in order of rank with what failed at the end."""

    board: Board
    problem: ProblemInfo
    title: str
    limits: Sequence[str]
    columns: Sequence[Metric]
    lines: Sequence[Line]

    @property
    def ok(self) -> list[Line]:
        """Lines with a result."""
        return [line for line in self.lines if line.status == "ok"]

    @property
    def failed(self) -> list[Line]:
        """Lines without one, each with its reason."""
        return [line for line in self.lines if line.status != "ok"]

    @property
    def at_bottom(self) -> frozenset[str]:
        """Names of the lines that are no better than guessing."""
        return frozenset(line.name for line in self.lines if line.guessing)

    @property
    def few_seeds(self) -> list[Line]:
        """Lines whose intervals lack the spread between seeds."""
        return [line for line in self.lines if line.few_seeds]

    @property
    def elsewhere(self) -> list[Line]:
        """Lines with seeds that other hardware ran."""
        return [line for line in self.lines if line.elsewhere]

    @property
    def stale(self) -> list[Line]:
        """Lines that were measured with something that is not today's."""
        return [line for line in self.lines if line.stale]

    @property
    def why_stale(self) -> list[tuple[str, int]]:
        """What changed, and for how many lines."""
        return Counter(reason.split(":")[0] for line in self.lines for reason in line.stale).most_common()


def make_table(
    board: Board, rows: Sequence[Row], info: SuiteInfo, registry: Registry, stale: Mapping[Row, Sequence[str]]
) -> Table:
    """The table of one board. stale: of each row what is not today's."""
    point, problem = info.points.get(board.point), problem_at(info, board.point)
    shown = _columns(rows, problem)
    stochastic = registry.stochastic(info.slug)
    guesses = guessing(rows, problem.primary, registry.trivial(info.slug), stochastic)
    ranked = {problem.primary.name: ranks(rows, problem.primary, stochastic, guesses)}
    serious = [row for row in rows if row.name not in guesses]
    ranked |= {metric.name: ranks(serious, metric) for metric in shown if metric.primary and metric != problem.primary}
    places = ranked[problem.primary.name]
    rows = _in_order(rows, places, problem.primary)
    make = _Lines(info, problem, registry, shown, ranked, guesses)
    controls = registry.kinds(info.slug, "control")
    losers = unbeaten(rows, controls, problem.primary, problem.primaries[1:], stochastic, guesses)
    lines = [
        make.line(row, tied, band % 2, losers.get(row.name, []), stale.get(row, ()))
        for band, tied in enumerate(list(group) for _, group in groupby(rows, key=lambda row: places.get(row.name)))
        for row in tied
    ]
    return Table(
        board,
        problem,
        point.title if point else board.point,
        describe_limits(point and point.at(board.scale), problem),
        shown,
        lines,
    )


def _columns(rows: Sequence[Row], problem: ProblemInfo) -> list[Metric]:
    """The primary score, and of the other scores, the primary costs and what building and holding it took those that a
    row has."""
    wanted = [*(m for m in problem.scores.values() if not m.primary), *problem.primaries[1:]]
    wanted += [m for m in problem.costs.values() if m.name.startswith(("build.", "memory.")) and not m.primary]
    return [problem.primary, *(metric for metric in wanted if any(_has(row, metric) for row in rows))]


@dataclass(frozen=True)
class _Lines:
    """Makes the lines of a table. ranked: by name of the metric. guesses: see `guessing`."""

    info: SuiteInfo
    problem: ProblemInfo
    registry: Registry
    shown: Sequence[Metric]
    ranked: Mapping[str, Ranks]
    guesses: Mapping[str, str]

    def line(self, row: Row, tied: Sequence[Row], band: int, unbeaten: Sequence[str], stale: Sequence[str]) -> Line:
        """tied: the rows that share its rank, itself among them."""
        listed = self.registry.methods.get((self.info.slug, row.method))
        stochastic = self.registry.stochastic(self.info.slug)
        place = self.ranked[self.problem.primary.name].get(row.name)
        return Line(
            name=row.name,
            method=row.method,
            family=listed.family if listed else "",
            kind=self._kind(row.method, listed),
            status=row.status,
            reason="" if row.ok else _reason(row),
            rank=rank(place),
            tied=len(tied) if place else 1,
            band=band,
            seeds=len(row.ok),
            elsewhere=len(row.elsewhere),
            asked=self.info.seeds if row.method in stochastic else 1,
            few_seeds=few_seeds(row, stochastic),
            failed=[(r.seed, r.status, r.reason or "") for r in row.failed] if row.ok else [],
            guessing=self.guesses.get(row.name, ""),
            unbeaten=unbeaten,
            stale=stale,
            cells=_cells(row, self.shown, self.ranked),
            address=record_address(row.home, row.method, row.variant),
        )

    def _kind(self, slug: str, listed: Listed | None) -> str:
        if slug == self.problem.baseline:
            return "baseline"
        return "method" if listed is None else listed.card.kind


def describe_limits(point: OperatingPoint | None, problem: ProblemInfo) -> list[str]:
    """The budget of a point, one limit a line."""
    if point is None:
        return []
    limits = point.limits
    said = []
    for name, allowed in limits.result.items():
        metric = problem.metrics.get(name) or Metric(name, name)
        said.append(f"{metric.title} at most {_plain(allowed, metric.unit or unit_of(name))}")
    if limits.build_seconds is not None:
        said.append(f"built within {number(limits.build_seconds)} s")
    if limits.build_memory_bytes is not None:
        said.append(f"with {_plain(limits.build_memory_bytes, 'B')} of memory")
    said += [f"at most {amount:,} {name.replace('_', ' ')}" for name, amount in limits.supplies.items()]
    return said


def make_cell(cost: Cost, metric: Metric, rank_text: str = "") -> Cell:
    """A figure with its interval in the metric's unit."""
    unit = metric.unit or cost.unit
    worst = float("inf" if metric.better == "lower" else "-inf")
    shown = cost.value is not None and cost.value == cost.value and cost.kind != "not realised"
    return Cell(
        quantity(cost.value, unit), interval(cost.low, cost.high, cost.value, unit), cost.n, cost.kind,
        cost.value if shown and cost.value is not None else worst, rank_text,
    )  # fmt: skip


def _in_order(rows: Sequence[Row], places: Ranks, primary: Metric) -> list[Row]:
    """By rank, then by value; what failed at the end."""
    middle = {name: (best + worst, best) for name, (best, worst) in places.items()}
    return sorted(rows, key=lambda row: (not row.ok, middle.get(row.name, (10**9, 0)), _value(row, primary), row.name))


def _cells(row: Row, shown: Sequence[Metric], ranked: Mapping[str, Ranks]) -> list[Cell]:
    cells = []
    for metric in shown:
        place = ranked.get(metric.name, {}).get(row.name)
        headed = metric if carries_unit(metric.unit) else replace(metric, unit="")  # the column names it already
        cells.append(make_cell(figure(row, metric), headed, "" if place is None else rank(place)))
    return cells


def _reason(row: Row) -> str:
    return max(row.records, key=lambda record: record.started).reason or "no reason recorded"


def _has(row: Row, metric: Metric) -> bool:
    return figure(row, metric).value is not None


def _plain(value: float, unit: str) -> str:
    """A limit: a round number that someone chose, without the zeros of a measured one."""
    factor, shown = scaled(value, unit)
    return with_unit(f"{value * factor:.4g}", shown)


def _value(row: Row, metric: Metric) -> float:
    value = figure(row, metric).value
    if value is None or value != value:  # noqa: PLR0124 (not a number)
        return float("inf")
    return value if metric.better == "lower" else -value
