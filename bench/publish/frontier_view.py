"""The picture of quality against a cost: where everything stands, in pixels. The template only draws."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.analyse.frontier import pareto
from bench.analyse.rows import Row
from bench.analyse.summary import Cost, value_of
from bench.analyse.summary import figure as figure_of
from bench.publish.axis import Axis, make_axis
from bench.publish.format import interval, quantity
from bench.publish.labels import Box, Label, Named, place_labels
from bench.publish.markers import COLOURS, SHAPES
from bench.registry.metrics import Metric

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 78, WIDTH - 18, 18, HEIGHT - 58
"""Of the part that points stand in."""
MANY = 24
"""With more names than this, those neither on the frontier nor controls are drawn faint and without a label."""


@dataclass(frozen=True)
class Mark:
    """One point: a row at one operating point, with its error bars in pixels and its figures as text.

    faint: one of so many that it is drawn without its error bars and its name.
    """

    x: float
    y: float
    bar_x: tuple[float, float] | None
    bar_y: tuple[float, float] | None
    shape: str
    colour: int
    control: bool
    frontier: bool
    faint: bool
    name: str
    point: str
    cost_text: str
    cost_interval: str
    value_text: str
    value_interval: str


@dataclass(frozen=True)
class Figure:
    """Everything that the template draws.

    step: the frontier. reached: rectangles that controls reach. lines: each method through its operating points.
    left_out: what has no finite figure, and why. unbounded: what has no interval. crowded: several operating points, of
    which only the best are named.
    """

    title: str
    suite: str
    x: Axis
    y: Axis
    marks: Sequence[Mark]
    step: str
    reached: Sequence[Box]
    labels: Sequence[Label]
    legend: Sequence[Mark]
    left_out: Sequence[str]
    unbounded: Sequence[str]
    better: str
    crowded: bool
    lines: Sequence[str]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    right: int = RIGHT
    bottom: int = BOTTOM


@dataclass(frozen=True)
class _Point:
    """A row that can be drawn."""

    row: Row
    cost: Cost
    score: Cost
    control: bool

    @property
    def place(self) -> tuple[float, float]:
        return value_of(self.cost), value_of(self.score)


def make_figure(
    rows: Sequence[Row], cost: Metric, score: Metric, controls: Collection[str], guesses: Mapping[Row, str] | None = None
) -> Figure | None:
    """Quality against one cost over rows of one problem (any operating points); None with fewer than two points.

    The step line is the Pareto frontier of all points; the shaded area is what the controls reach. What has no finite
    value, or a cost that is not realised, is left out and named; so is what is no better than guessing (`guesses` says
    of which row what), as it would press all others into a corner.
    """
    points, left_out = _points(rows, cost, score, controls, guesses or {})
    if len(points) < 2:
        return None
    x = make_axis(cost, [point.cost for point in points], LEFT, RIGHT)
    y = make_axis(score, [point.score for point in points], BOTTOM, TOP)
    names = list(dict.fromkeys(row.name for row in rows if row.ok))  # whatever the cost, each has its shape and colour
    best = pareto([point.place for point in points], cost.better, score.better)
    seen = {point.row.name for point, kept in zip(points, best, strict=True) if kept or point.control}
    shown = seen if len(names) > MANY else set(names)
    draw = _Draw(x, y, cost, score, names, shown)
    marks = [draw.mark(point, kept) for point, kept in zip(points, best, strict=True)]
    clear = [mark for mark in marks if not mark.faint]
    frontier = draw.along([mark for mark in marks if mark.frontier])
    crowded = len({mark.point for mark in marks}) > 1
    return Figure(
        title=f"{score.title} versus {cost.title}",
        suite=rows[0].board.suite,
        x=x,
        y=y,
        marks=marks,
        step=_step(frontier),
        reached=draw.reached(points),
        labels=_labels(clear, frontier, draw.chief(clear) if crowded else {mark.name for mark in clear}),
        legend=list({mark.name: mark for mark in clear}.values()),
        left_out=left_out,
        unbounded=[_named(p.row) for p in points if not (_bounded(p.cost) and _bounded(p.score))],
        better=draw.better,
        crowded=crowded,
        lines=[_polyline([mark for mark in clear if mark.name == name]) for name in names if name in shown],
    )


def _points(
    rows: Sequence[Row], cost: Metric, score: Metric, controls: Collection[str], guesses: Mapping[Row, str]
) -> tuple[list[_Point], list[str]]:
    """The rows that can be drawn, and what can't be, with the reason."""
    points, left_out = [], []
    for row in rows:
        if not row.ok:
            continue
        x, y = (figure_of(row, metric) for metric in (cost, score))
        if row in guesses:
            left_out.append(f"{_named(row)}: {guesses[row]}")
        elif x.kind == "not realised":
            left_out.append(f"{_named(row)}: not realised")
        elif not (math.isfinite(value_of(x)) and math.isfinite(value_of(y))):
            left_out.append(f"{_named(row)}: no finite value")
        else:
            points.append(_Point(row, x, y, row.method in controls))
    return points, left_out


@dataclass(frozen=True)
class _Draw:
    """From points to what is drawn. names: of all rows. shown: those that are not drawn faint."""

    x: Axis
    y: Axis
    cost: Metric
    score: Metric
    names: Sequence[str]
    shown: Collection[str]

    def mark(self, point: _Point, frontier: bool) -> Mark:
        index = self.names.index(point.row.name)
        units = self.cost.unit or point.cost.unit, self.score.unit or point.score.unit
        x, y = point.place
        return Mark(
            self.x.at(x), self.y.at(y), _bar(self.x, point.cost), _bar(self.y, point.score),
            SHAPES[index % len(SHAPES)], index % COLOURS, point.control, frontier, point.row.name not in self.shown,
            point.row.name, point.row.board.point,
            quantity(x, units[0]), interval(point.cost.low, point.cost.high, x, units[0]),
            quantity(y, units[1]), interval(point.score.low, point.score.high, y, units[1]),
        )  # fmt: skip

    def along(self, marks: Sequence[Mark]) -> list[Mark]:
        """From the cheapest to the dearest."""
        return sorted(marks, key=lambda mark: mark.x, reverse=self.cost.better != "lower")

    def reached(self, points: Sequence[_Point]) -> list[Box]:
        """Of the best controls the rectangles of all that is no better: x, y, width, height."""
        controls = [point for point in points if point.control]
        best = pareto([point.place for point in controls], self.cost.better, self.score.better)
        boxes = []
        for point in (point for point, kept in zip(controls, best, strict=True) if kept):
            x, y = self.x.at(point.place[0]), self.y.at(point.place[1])
            left, right = (x, RIGHT) if self.cost.better == "lower" else (LEFT, x)
            top, bottom = (TOP, y) if self.score.better == "lower" else (y, BOTTOM)
            boxes.append((left, top, round(right - left, 1), round(bottom - top, 1)))
        return boxes

    def chief(self, marks: Sequence[Mark]) -> set[str]:
        """Names on the frontier, and the best of each operating point."""
        best: dict[str, Mark] = {}
        upwards = self.score.better == "higher"
        for mark in sorted(marks, key=lambda mark: mark.y, reverse=not upwards):  # pixels grow downwards
            best.setdefault(mark.point, mark)
        return {mark.name for mark in [*(mark for mark in marks if mark.frontier), *best.values()]}

    @property
    def better(self) -> str:
        """Where the best points stand."""
        sideways = "left" if self.cost.better == "lower" else "right"
        return f"{sideways} and {'down' if self.score.better == 'lower' else 'up'}"


def _labels(marks: Sequence[Mark], frontier: Sequence[Mark], named: Collection[str]) -> list[Label]:
    """Names on the frontier come first, and stand there; none lies on the frontier's line."""
    ordered = sorted(marks, key=lambda mark: not mark.frontier)
    names = [name for name in dict.fromkeys(mark.name for mark in ordered) if name in named]
    points = [Named(mark.name, mark.x, mark.y) for mark in ordered]
    return place_labels(points, names, list(_line(frontier)), (LEFT, TOP, RIGHT, BOTTOM))


def _step(frontier: Sequence[Mark]) -> str:
    path = f"M{frontier[0].x} {frontier[0].y}"
    return path + "".join(f"H{mark.x}V{mark.y}" for mark in frontier[1:])


def _line(frontier: Sequence[Mark]) -> Iterator[Box]:
    """The frontier's line as thin boxes."""
    for before, mark in pairwise(frontier):
        yield min(before.x, mark.x), before.y - 1, max(before.x, mark.x), before.y + 1
        yield mark.x - 1, min(before.y, mark.y), mark.x + 1, max(before.y, mark.y)


def _polyline(marks: Sequence[Mark]) -> str:
    ordered = sorted(marks, key=lambda mark: mark.x)
    return "M" + "L".join(f"{mark.x} {mark.y}" for mark in ordered) if len(ordered) > 1 else ""


def _bar(axis: Axis, cost: Cost) -> tuple[float, float] | None:
    if not _bounded(cost) or cost.low == cost.high:
        return None
    return axis.at(cost.low), axis.at(cost.high)


def _bounded(cost: Cost) -> bool:
    return math.isfinite(cost.low) and math.isfinite(cost.high)


def _named(row: Row) -> str:
    return f"{row.name} at {row.board.point}"
