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
from bench.publish.format import deserved, interval, quantity
from bench.publish.labels import Box, Label, Named, place_labels
from bench.registry.metrics import Metric

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 78, WIDTH - 18, 18, HEIGHT - 58
"""Of the part that points stand in."""
FEW = 12
"""Up to so many names all are written; of more those on the frontier and of the best controls alone."""


@dataclass(frozen=True)
class Mark:
    """One point: a row at one operating point, with its error bars in pixels and its figures as text.

    role: "frontier", "control" (one of the best controls) or "rest"; the first two are drawn in colour. off: the edge
    ("top", "bottom", "left" or "right") that it lies beyond, there drawn as an arrow; or empty.
    """

    x: float
    y: float
    bar_x: tuple[float, float] | None
    bar_y: tuple[float, float] | None
    role: str
    control: bool
    stale: bool
    off: str
    name: str
    point: str
    cost_text: str
    cost_interval: str
    value_text: str
    value_interval: str


@dataclass(frozen=True)
class Figure:
    """Everything that the template draws.

    step: the frontier. reached: rectangles that controls reach. off: (x, y, anchor, text) of what is said at an edge of
    the points beyond it. left_out: what has no finite figure, and why. unbounded: what has no interval. source: of the
    data, a line. file: address of the picture alone, or empty.
    """

    title: str
    x: Axis
    y: Axis
    marks: Sequence[Mark]
    step: str
    reached: Sequence[Box]
    labels: Sequence[Label]
    off: Sequence[Label]
    left_out: Sequence[str]
    unbounded: Sequence[str]
    better: str
    source: str = ""
    file: str = ""
    hardware: str = ""
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
    stale: bool

    @property
    def place(self) -> tuple[float, float]:
        return value_of(self.cost), value_of(self.score)


def make_figure(
    rows: Sequence[Row],
    cost: Metric,
    score: Metric,
    controls: Collection[str],
    guesses: Mapping[Row, str] | None = None,
    stale: Collection[Row] = (),
) -> Figure | None:
    """Quality against one cost over rows of one problem (any operating points); None with fewer than two points.

    The step line is the Pareto frontier of all points; the shaded area is what the controls reach. The axes hold the
    useful range (`axis.useful`), with the best control in it: what lies beyond stands at the edge, counted. What has no
    finite value, or a cost that is not realised, is left out and named; so is what is no better than guessing
    (`guesses` says of which row what). stale: rows that are not of today's code.
    """
    points, left_out = _points(rows, cost, score, controls, guesses or {}, stale)
    if len(points) < 2:
        return None
    best = pareto([point.place for point in points], cost.better, score.better)
    leading = _best_controls(points, cost, score)
    y = make_axis(score, [point.score for point in points], BOTTOM, TOP, _first(leading, score))
    level = [point for point in points if y.holds(point.place[1])]
    named = [p.place[0] for p, kept in zip(points, best, strict=True) if p in level and (kept or p in leading)]
    x = make_axis(cost, [point.cost for point in level], LEFT, RIGHT, named)
    draw = _Draw(x, y, cost, score)
    roles = [
        "frontier" if kept else "control" if p in leading else "rest" for p, kept in zip(points, best, strict=True)
    ]
    marks = [draw.mark(point, role) for point, role in zip(points, roles, strict=True)]
    frontier = draw.along([mark for mark in marks if mark.role == "frontier"])
    off = list(_beyond(marks))
    return Figure(
        title=f"{score.title} versus {cost.title}",
        x=x,
        y=y,
        marks=marks,
        step=_step(frontier),
        reached=draw.reached(leading),
        labels=_labels(marks, frontier, off),
        off=off,
        left_out=left_out,
        unbounded=[_named(p.row) for p in points if not (_bounded(p.cost) and _bounded(p.score))],
        better=draw.better,
    )


def _points(
    rows: Sequence[Row],
    cost: Metric,
    score: Metric,
    controls: Collection[str],
    guesses: Mapping[Row, str],
    stale: Collection[Row],
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
            points.append(_Point(row, x, y, row.method in controls, row in stale))
    return points, left_out


def _best_controls(points: Sequence[_Point], cost: Metric, score: Metric) -> list[_Point]:
    """Controls that no other control is at least as good as in both and better in one."""
    controls = [point for point in points if point.control]
    best = pareto([point.place for point in controls], cost.better, score.better)
    return [point for point, kept in zip(controls, best, strict=True) if kept]


def _first(points: Sequence[_Point], score: Metric) -> list[float]:
    """The best score of them."""
    values = sorted((point.place[1] for point in points), reverse=score.better == "higher")
    return values[:1]


@dataclass(frozen=True)
class _Draw:
    """From points to what is drawn."""

    x: Axis
    y: Axis
    cost: Metric
    score: Metric

    def mark(self, point: _Point, role: str) -> Mark:
        x, y = point.place
        value_text, value_interval = _text(point.score, self.score)
        cost_text, cost_interval = _text(point.cost, self.cost)
        return Mark(
            self.x.at(x), self.y.at(y), _bar(self.x, point.cost), _bar(self.y, point.score), role, point.control,
            point.stale, self._edge(x, y), point.row.name, point.row.board.point, cost_text, cost_interval, value_text,
            value_interval,
        )  # fmt: skip

    def _edge(self, x: float, y: float) -> str:
        """The edge that the point lies beyond."""
        if not self.y.holds(y):
            return "top" if y > self.y.high else "bottom"
        if not self.x.holds(x):
            return "right" if x > self.x.high else "left"
        return ""

    def along(self, marks: Sequence[Mark]) -> list[Mark]:
        """From the cheapest to the dearest."""
        return sorted(marks, key=lambda mark: mark.x, reverse=self.cost.better != "lower")

    def reached(self, leading: Sequence[_Point]) -> list[Box]:
        """Of the best controls the rectangles of all that is no better: x, y, width, height."""
        boxes = []
        for point in leading:
            x, y = self.x.at(point.place[0]), self.y.at(point.place[1])
            left, right = (x, RIGHT) if self.cost.better == "lower" else (LEFT, x)
            top, bottom = (TOP, y) if self.score.better == "lower" else (y, BOTTOM)
            boxes.append((left, top, round(right - left, 1), round(bottom - top, 1)))
        return boxes

    @property
    def better(self) -> str:
        """Where the best points stand."""
        sideways = "left" if self.cost.better == "lower" else "right"
        return f"{sideways} and {'down' if self.score.better == 'lower' else 'up'}"


def _text(cost: Cost, metric: Metric) -> tuple[str, str]:
    """A figure and its interval as they are read."""
    unit, value = metric.unit or cost.unit, value_of(cost)
    digits = deserved(value, cost.low, cost.high)
    return quantity(value, unit, digits), interval(cost.low, cost.high, value, unit, digits)


def _labels(marks: Sequence[Mark], frontier: Sequence[Mark], off: Sequence[Label]) -> list[Label]:
    """Names on the frontier come first, then the best controls'; none lies on the frontier's line or what else is
    written."""
    order = {"frontier": 0, "control": 1, "rest": 2}
    inside = sorted((mark for mark in marks if not mark.off), key=lambda mark: order[mark.role])
    few = len({mark.name for mark in marks}) <= FEW
    names = [label_of(mark) for mark in inside if few or mark.role != "rest"]
    points = [Named(label_of(mark), mark.x, mark.y) for mark in [*inside, *(mark for mark in marks if mark.off)]]
    said = [
        (x - 90 if anchor == "end" else x, y - 11, x if anchor == "end" else x + 90, y + 3) for x, y, anchor, _ in off
    ]
    return place_labels(points, list(dict.fromkeys(names)), [*_line(frontier), *said], (LEFT, TOP, RIGHT, BOTTOM))


def label_of(mark: Mark) -> str:
    """What stands beside a point: what is stale is not named without it."""
    return f"{mark.name} (stale)" if mark.stale else mark.name


def _beyond(marks: Sequence[Mark]) -> Iterator[Label]:
    """What is said at each edge."""
    middle = (TOP + BOTTOM) / 2
    places = {
        "top": (RIGHT - 4.0, TOP + 24.0, "end", "↑"), "bottom": (RIGHT - 4.0, BOTTOM - 14.0, "end", "↓"),
        "right": (RIGHT - 4.0, middle, "end", "→"), "left": (LEFT + 4.0, middle, "start", "←"),
    }  # fmt: skip
    for edge, (x, y, anchor, arrow) in places.items():
        count = sum(mark.off == edge for mark in marks)
        if count:
            yield x, y, anchor, f"{count} off scale {arrow}"


def _step(frontier: Sequence[Mark]) -> str:
    path = f"M{frontier[0].x} {frontier[0].y}"
    return path + "".join(f"H{mark.x}V{mark.y}" for mark in frontier[1:])


def _line(frontier: Sequence[Mark]) -> Iterator[Box]:
    """The frontier's line as thin boxes."""
    for before, mark in pairwise(frontier):
        yield min(before.x, mark.x), before.y - 1, max(before.x, mark.x), before.y + 1
        yield mark.x - 1, min(before.y, mark.y), mark.x + 1, max(before.y, mark.y)


def _bar(axis: Axis, cost: Cost) -> tuple[float, float] | None:
    if not _bounded(cost) or cost.low == cost.high:
        return None
    return axis.at(cost.low), axis.at(cost.high)


def _bounded(cost: Cost) -> bool:
    return math.isfinite(cost.low) and math.isfinite(cost.high)


def _named(row: Row) -> str:
    return f"{row.name} at {row.board.point}"
