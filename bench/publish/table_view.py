"""One table: the rows of a board, formatted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bench.analyse.alarms import alarms
from bench.analyse.controls import unbeaten
from bench.analyse.floors import guessing
from bench.analyse.problems import problem_at
from bench.analyse.ranks import ranks
from bench.analyse.rows import Board, Row, few_seeds
from bench.analyse.summary import Cost, figure, unit_of
from bench.contract import OperatingPoint
from bench.publish.format import carries_unit, deserved, interval, number, quantity, rank, scaled, with_unit
from bench.publish.margins import Margin, margins, trained, training
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


@dataclass(frozen=True)
class Line:
    """A row of the table. unbeaten: controls that it does not beat. `reason` is set if no seed succeeded.

    stale: what is not today's any more in what it was measured with.
    tied: how many neighbours share its rank, itself included. band: alternates between groups of ties.
    ran_on: the hardware that its scores were measured on. asked: how many seeds the suite asks for.
    few_seeds: it hangs on its seed, and has too few to tell by how much. guessing: "no better than guessing", "worse
    than guessing", or empty. margin: over the best control; None for controls, and where nothing can be compared.
    best_control: it is the control that stands first. trained: "yes", "no", "can", or empty where it is not known.
    training: what it was trained on. words: all that a search for it may name.
    """

    name: str
    method: str
    family: str
    words: str
    kind: str
    status: str
    reason: str
    rank: str
    tied: int
    band: int
    seeds: int
    ran_on: Sequence[str]
    asked: int
    few_seeds: bool
    failed: Sequence[tuple[int, str, str]]
    guessing: str
    unbeaten: Sequence[str]
    stale: Sequence[str]
    margin: Margin | None
    best_control: bool
    trained: str
    training: str
    cells: Sequence[Cell]
    address: str

    @property
    def said(self) -> str:
        """Its name; what is stale is not named without it."""
        return f"{self.name} (stale)" if self.stale else self.name


@dataclass(frozen=True)
class Table:
    """A board: its operating point, budget, columns, and lines in order of rank with what failed at the end.

    alarms: what can't be right in them."""

    board: Board
    problem: ProblemInfo
    title: str
    limits: Sequence[str]
    columns: Sequence[Metric]
    lines: Sequence[Line]
    alarms: Sequence[str]

    @property
    def ok(self) -> list[Line]:
        """Lines with a result."""
        return [line for line in self.lines if line.status == "ok"]

    @property
    def first(self) -> list[str]:
        """Who stands first, or shares the first rank."""
        return [line.said for line in self.ok if line.rank == "1" or line.rank.startswith("1–")]

    @property
    def chief(self) -> list[Metric]:
        """The columns that are always shown: the primary score and costs. The others stand behind a switch."""
        return [metric for metric in self.columns if metric.primary]

    @property
    def margin_over(self) -> str:
        """The best control; empty without one."""
        return next((line.said for line in self.ok if line.best_control), "")

    @property
    def timed(self) -> list[Line]:
        """Lines with a measured speed."""
        columns = [i for i, metric in enumerate(self.columns) if is_speed(metric)]
        return [line for line in self.ok if any(line.cells[i].kind == "measured" for i in columns)]

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
    places = ranks(rows, problem.primary, stochastic, guesses)
    rows = _in_order(rows, places, problem.primary)
    controls = registry.kinds(info.slug, "control")
    old = {row for row in rows if stale.get(row)}
    gained = margins(rows, problem.primary, controls, stochastic, guesses, old)
    first = next((row.name for row in rows if row.ok and row.method in controls and row.name not in guesses), "")
    make = _Lines(info, problem, registry, shown, places, guesses, gained, first)
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
        [alarm for row in rows for alarm in alarms(row, info)],
    )


def _columns(rows: Sequence[Row], problem: ProblemInfo) -> list[Metric]:
    """The primary score, and of the other scores, the primary costs and what building and holding it took those that a
    row has."""
    wanted = [*(m for m in problem.scores.values() if not m.primary), *problem.primaries[1:]]
    wanted += [m for m in problem.costs.values() if m.name.startswith(("build.", "memory.")) and not m.primary]
    return [problem.primary, *(metric for metric in wanted if any(_has(row, metric) for row in rows))]


@dataclass(frozen=True)
class _Lines:
    """Makes the lines of a table. guesses: see `guessing`. first: the best control."""

    info: SuiteInfo
    problem: ProblemInfo
    registry: Registry
    shown: Sequence[Metric]
    places: Ranks
    guesses: Mapping[str, str]
    margins: Mapping[str, Margin]
    first: str

    def line(self, row: Row, tied: Sequence[Row], band: int, unbeaten: Sequence[str], stale: Sequence[str]) -> Line:
        """tied: the rows that share its rank, itself among them."""
        listed = self.registry.methods.get((self.info.slug, row.method))
        stochastic = self.registry.stochastic(self.info.slug)
        place = self.places.get(row.name)
        named = [row.name, *((listed.card.title, listed.family, listed.card.paper) if listed else ())]
        return Line(
            name=row.name,
            method=row.method,
            family=listed.family if listed else "",
            words=" ".join(named).lower(),
            kind=self._kind(row.method, listed),
            status=row.status,
            reason="" if row.ok else _reason(row),
            rank=rank(place),
            tied=len(tied) if place else 1,
            band=band,
            seeds=len(row.ok),
            ran_on=sorted({record.environment.hardware for record in row.ok}),
            asked=1 if listed is None else self.info.seeds_of(listed.card),
            few_seeds=few_seeds(row, stochastic),
            failed=[(r.seed, r.status, r.reason or "") for r in row.failed] if row.ok else [],
            guessing=self.guesses.get(row.name, ""),
            unbeaten=unbeaten,
            stale=stale,
            margin=self.margins.get(row.name),
            best_control=row.name == self.first,
            trained=trained(row, listed, self.registry) if row.ok else "",
            training=training(row),
            cells=_cells(row, self.shown),
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


def is_speed(metric: Metric) -> bool:
    """Whether the metric is a time of running, or a rate, against the baseline's."""
    return metric.name.endswith(".ratio") and not metric.name.startswith("build.")


def make_cell(cost: Cost, metric: Metric) -> Cell:
    """A figure with its interval in the metric's unit, in the digits that the interval deserves."""
    digits = 4 if cost.value is None else deserved(cost.value, cost.low, cost.high)
    unit = metric.unit or cost.unit
    worst = float("inf" if metric.better == "lower" else "-inf")
    shown = cost.value is not None and cost.value == cost.value and cost.kind != "not realised"
    return Cell(
        quantity(cost.value, unit, digits), interval(cost.low, cost.high, cost.value, unit, digits), cost.n, cost.kind,
        cost.value if shown and cost.value is not None else worst,
    )  # fmt: skip


def _in_order(rows: Sequence[Row], places: Ranks, primary: Metric) -> list[Row]:
    """By rank, then by value; what failed at the end."""
    middle = {name: (best + worst, best) for name, (best, worst) in places.items()}
    return sorted(rows, key=lambda row: (not row.ok, middle.get(row.name, (10**9, 0)), _value(row, primary), row.name))


def _cells(row: Row, shown: Sequence[Metric]) -> list[Cell]:
    headed = [metric if carries_unit(metric.unit) else replace(metric, unit="") for metric in shown]  # as the column is
    return [make_cell(figure(row, metric), named) for metric, named in zip(shown, headed, strict=True)]


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
