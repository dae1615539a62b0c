"""One table: the rows of a board, formatted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analyse.controls import unbeaten
from bench.analyse.ranks import ranks
from bench.analyse.rows import Board, Row
from bench.analyse.summary import MISSING, Cost, lookup, row_costs, row_quality, unit_of
from bench.contract import Metric, OperatingPoint, SuiteInfo
from bench.publish.format import carries_unit, interval, number, quantity, rank, scaled, with_unit


@dataclass(frozen=True)
class Cell:
    """A figure as it is shown. kind: as in `Cost`, or "score"."""

    text: str
    interval: str
    n: int
    kind: str
    rank: str = ""


@dataclass(frozen=True)
class Line:
    """A row of the table. unbeaten: controls that it does not beat. `reason` is set if no seed succeeded."""

    name: str
    method: str
    control: bool
    baseline: bool
    status: str
    reason: str
    rank: str
    seeds: int
    failed: Sequence[tuple[int, str, str]]
    unbeaten: Sequence[str]
    cells: Sequence[Cell]
    more: Sequence[tuple[str, Cell]]
    command: str
    log: str


@dataclass(frozen=True)
class Table:
    """A board: its operating point, budget, columns, and lines in order of rank with what failed at the end."""

    board: Board
    title: str
    limits: Sequence[str]
    columns: Sequence[Metric]
    lines: Sequence[Line]


def make_table(board: Board, rows: Sequence[Row], info: SuiteInfo, controls: Collection[str]) -> Table:
    """The table of one board. controls: slugs of the control methods."""
    point = info.points.get(board.point)
    shown = [info.primary, *(m for m in info.scores.values() if not m.primary)]
    shown += [metric for metric in info.costs.values() if metric.primary]
    ranked = {metric.name: ranks(rows, metric) for metric in shown if metric.primary}
    by_score = ranked[info.primary.name]
    order = {name: (best + worst, best) for name, (best, worst) in by_score.items()}
    rows = sorted(
        rows, key=lambda row: (not row.ok, order.get(row.name, (10**9, 0)), _value(row, info.primary), row.name)
    )
    control_rows = [row for row in rows if row.method in controls]
    shown = [m for m in shown if m is info.primary or any(_has(row, m) for row in rows)]
    lines = [_line(row, shown, ranked, control_rows, info, row.method in controls) for row in rows]
    return Table(board, point.title if point else board.point, describe_limits(point, info), shown, lines)


def describe_limits(point: OperatingPoint | None, info: SuiteInfo) -> list[str]:
    """The budget of a point, one limit a line."""
    if point is None:
        return []
    limits = point.limits
    said = []
    for name, allowed in limits.result.items():
        metric = info.costs.get(name) or info.scores.get(name) or Metric(name, name)
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
    return Cell(
        quantity(cost.value, unit), interval(cost.low, cost.high, cost.value, unit), cost.n, cost.kind, rank_text
    )


def _line(
    row: Row,
    shown: Sequence[Metric],
    ranked: Mapping[str, Mapping[str, tuple[int, int]]],
    controls: Sequence[Row],
    info: SuiteInfo,
    control: bool,
) -> Line:
    scores, costs = row_quality(row), row_costs(row)
    cells = []
    for metric in shown:
        place = ranked.get(metric.name, {}).get(row.name)
        headed = metric if carries_unit(metric.unit) else replace(metric, unit="")  # the column names it already
        cells.append(make_cell(lookup(scores, costs, metric.name), headed, "" if place is None else rank(place)))
    names = {metric.name for metric in shown}
    known = [(m.title, make_cell(lookup(scores, costs, m.name), m)) for m in info.costs.values() if m.name not in names]
    others = [
        (name, make_cell(lookup(scores, costs, name), Metric(name, name)))
        for name in [*costs, *scores]
        if name not in names and name not in info.costs
    ]
    primary_costs = [metric for metric in info.costs.values() if metric.primary]
    newest = max(row.records, key=lambda record: record.started)
    return Line(
        name=row.name,
        method=row.method,
        control=control,
        baseline=row.method == info.baseline,
        status=row.status,
        reason="" if row.ok else newest.reason or "no reason recorded",
        rank=rank(ranked[info.primary.name].get(row.name)),
        seeds=len(row.ok),
        failed=[(r.seed, r.status, r.reason or "") for r in row.failed] if row.ok else [],
        unbeaten=unbeaten(row, controls, info.primary, primary_costs) if row.ok and not control else [],
        cells=cells,
        more=[(title, cell) for title, cell in [*known, *others] if cell.kind != MISSING.kind],
        command=newest.command,
        log="" if row.ok else newest.log[-2000:],
    )


def _has(row: Row, metric: Metric) -> bool:
    return lookup(row_quality(row), row_costs(row), metric.name).value is not None


def _plain(value: float, unit: str) -> str:
    """A limit: a round number that someone chose, without the zeros of a measured one."""
    factor, shown = scaled(value, unit)
    return with_unit(f"{value * factor:.4g}", shown)


def _value(row: Row, metric: Metric) -> float:
    value = lookup(row_quality(row), row_costs(row), metric.name).value
    if value is None or value != value:  # noqa: PLR0124 (not a number)
        return float("inf")
    return value if metric.better == "lower" else -value
