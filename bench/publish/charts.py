"""The pictures that a suite declares ([charts] of its suite.toml): a line for each method, in pixels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analyse.rows import Row
from bench.analyse.summary import Cost, figure, value_of
from bench.publish.axis import Axis, make_axis
from bench.publish.format import deserved, interval, quantity
from bench.publish.frontier_view import BOTTOM, FEW, HEIGHT, LEFT, TOP, WIDTH
from bench.publish.labels import Label
from bench.publish.table_view import Table
from bench.registry.charts import ChartInfo
from bench.registry.metrics import Metric

RIGHT = WIDTH - 150
"""Beyond it the names stand, each beside the end of its line."""
_LETTERS, _ROW = 22, 15
"""How long a name may be there, and how far apart two are, in pixels."""
MOST_TICKS = 14
"""More would be written over each other."""
_MARGIN = 0.04
"""Of the width, left free on both sides of the first and last place."""


@dataclass(frozen=True)
class Spot:
    """A point of a line, in pixels: where it stands, the ends of its interval, and what it says as text."""

    x: float
    y: float
    bar: tuple[float, float] | None
    text: str


@dataclass(frozen=True)
class Curve:
    """A method's line. role: "frontier" (the first method), "control" (the best control) or "rest"."""

    name: str
    role: str
    spots: Sequence[Spot]

    @property
    def path(self) -> str:
        return "M" + "L".join(f"{spot.x} {spot.y}" for spot in self.spots)


@dataclass(frozen=True)
class Chart:
    """Everything that the template draws. point: the operating point, empty where it is drawn over them."""

    name: str
    title: str
    point: str
    x: Axis
    y: Axis
    curves: Sequence[Curve]
    labels: Sequence[Label]
    better: str
    source: str = ""
    file: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    right: int = RIGHT
    bottom: int = BOTTOM


def charts_of(chart: ChartInfo, tables: Sequence[Table], rows: Mapping[str, Sequence[Row]]) -> list[Chart]:
    """What a declared chart shows of one section: a picture for each operating point of its problem, or one over them
    all. Where nothing has two values there is none. rows: by operating point.
    """
    tables = [table for table in tables if table.problem.name == chart.problem]
    if chart.scores:
        drawn = [_at_point(chart, table, rows[table.board.point]) for table in tables]
    else:
        drawn = [_over_points(chart, tables, rows)] if tables else []
    return [each for each in drawn if each is not None]


def _at_point(chart: ChartInfo, table: Table, rows: Sequence[Row]) -> Chart | None:
    assert chart.scores is not None
    metrics = [table.problem.metrics[name] for name in chart.scores]
    places = [place if isinstance(place, int | float) else i for i, place in enumerate(chart.scores.values())]
    margin = _MARGIN * (max(places) - min(places))
    x = Axis(chart.x, min(places) - margin, max(places) + margin, False, LEFT, RIGHT)
    ticks = [
        (x.at(at), place if isinstance(place, str) else f"{place:g}")
        for at, place in zip(places, chart.scores.values(), strict=True)
    ]
    points = {row.name: [(at, figure(row, m)) for at, m in zip(places, metrics, strict=True)] for row in rows if row.ok}
    axis = replace(x, ticks=ticks[:: math.ceil(len(ticks) / MOST_TICKS)])
    return _draw(chart, table.board.point, _finite(points), [table], metrics[0], axis)


def _over_points(chart: ChartInfo, tables: Sequence[Table], rows: Mapping[str, Sequence[Row]]) -> Chart | None:
    score, cost = (tables[0].problem.metrics[name] for name in (chart.score, chart.cost))
    figures: dict[str, list[tuple[Cost, Cost]]] = {}
    for row in (row for table in tables for row in rows[table.board.point] if row.ok):
        figures.setdefault(row.name, []).append((figure(row, cost), figure(row, score)))
    points = _finite({name: [(value_of(x), y) for x, y in pairs] for name, pairs in figures.items()})
    kept = {x for line in points.values() for x, _ in line}
    costs = [x for pairs in figures.values() for x, _ in pairs if value_of(x) in kept]
    if not costs:
        return None
    axis = make_axis(cost, costs, LEFT, RIGHT, whole=True)
    return _draw(chart, "", points, tables, score, replace(axis, title=chart.x or axis.title))


Points = Mapping[str, Sequence[tuple[float, Cost]]]
"""Of each method: where on the axis, and the score there."""


def _finite(points: Points) -> Points:
    """Without what has no value; without lines of fewer than two points."""
    lines = {
        name: sorted(((x, y) for x, y in line if math.isfinite(x) and math.isfinite(value_of(y))), key=lambda at: at[0])
        for name, line in points.items()
    }
    return {name: line for name, line in lines.items() if len(line) > 1}


def _draw(
    chart: ChartInfo, point: str, points: Points, tables: Sequence[Table], score: Metric, x: Axis
) -> Chart | None:
    if not points:
        return None
    scores = [cost for line in points.values() for _, cost in line]
    y = make_axis(score, scores, BOTTOM, TOP, whole=math.isfinite(score.bounds[1] - score.bounds[0]))
    roles = _roles(tables)
    curves = [_curve(name, roles.get(name, "rest"), line, score, x, y) for name, line in points.items()]
    curves.sort(key=lambda curve: ("rest", "control", "frontier").index(curve.role))  # what is in colour lies on top
    named = [curve.name for curve in reversed(curves) if curve.role != "rest" or len(curves) <= FEW]
    return Chart(
        chart.name, chart.title, point, x, replace(y, title=chart.y or y.title), curves,
        _names([curve for curve in curves if curve.name in named]), "down" if score.better == "lower" else "up",
    )  # fmt: skip


def _names(curves: Sequence[Curve]) -> list[Label]:
    """Beside the end of each line its name, pushed apart where they would lie on each other."""
    ends = sorted((curve.spots[-1].y, curve.name) for curve in curves)
    places: list[float] = []
    for y, _ in ends:
        places.append(max(y, places[-1] + _ROW) if places else y)
    free = float(BOTTOM)
    for i in reversed(range(len(places))):  # those pushed out at the bottom come up again
        places[i] = min(places[i], free)
        free = places[i] - _ROW
    cut = [name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…" for _, name in ends]
    return [(RIGHT + 12.0, round(y + 4, 1), "start", name) for y, name in zip(places, cut, strict=True)]


def _roles(tables: Sequence[Table]) -> dict[str, str]:
    """Of the best control and the first method of each table; the others have none."""
    roles: dict[str, str] = {}
    for table in tables:
        roles |= {line.name: "control" for line in table.ok if line.best_control}
        roles |= {line.name: "frontier" for line in [line for line in table.ok if line.kind == "method"][:1]}
    return roles


def _curve(name: str, role: str, line: Sequence[tuple[float, Cost]], score: Metric, x: Axis, y: Axis) -> Curve:
    spots = []
    for at, cost in line:
        value, unit = value_of(cost), score.unit or cost.unit
        digits = deserved(value, cost.low, cost.high)
        bounded = math.isfinite(cost.low) and math.isfinite(cost.high) and cost.low < cost.high
        text = f"{quantity(value, unit, digits)} {interval(cost.low, cost.high, value, unit, digits)}".strip()
        spots.append(Spot(x.at(at), y.at(value), (y.at(cost.low), y.at(cost.high)) if bounded else None, text))
    return Curve(name, role, spots)
