"""The picture of quality against a cost: where everything stands, in pixels. The template only draws."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.analyse.frontier import pareto
from bench.analyse.rows import Row
from bench.analyse.summary import Cost, lookup, row_costs, row_quality
from bench.contract import Metric
from bench.publish.format import interval, number, quantity, scaled, trimmed

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 78, 18, 18, 58
RADIUS = 5.5
COLOURS = 7
MANY = 24
"""With more names than this, those neither on the frontier nor controls are drawn faint and without a label."""
SHAPES = ("circle", "square", "triangle", "diamond", "down", "pentagon", "star", "hexagon")
_CHARACTER, _LINE = 6.4, 14.0  # size of the labels' letters, in pixels, for keeping labels apart

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Axis:
    """A scale from values to pixels, linear or logarithmic, with its ticks as (pixel, text)."""

    title: str
    low: float
    high: float
    log: bool
    start: float
    end: float
    ticks: Sequence[tuple[float, str]] = ()

    def at(self, value: float) -> float:
        """Pixel of a value, held inside the axis."""
        low, high, v = (math.log(max(x, 1e-300)) if self.log else x for x in (self.low, self.high, value))
        share = min(1.0, max(0.0, (v - low) / (high - low)))
        return round(self.start + share * (self.end - self.start), 1)


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
    """Everything that the template draws. crowded: several operating points, of which only the best are named."""

    title: str
    x: Axis
    y: Axis
    marks: Sequence[Mark]
    step: str
    reached: Sequence[Box]
    labels: Sequence[tuple[float, float, str, str]]
    legend: Sequence[Mark]
    left_out: Sequence[str]
    unbounded: Sequence[str]
    better: str
    crowded: bool
    lines: Sequence[str] = field(default_factory=tuple)
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def make_figure(rows: Sequence[Row], cost: Metric, score: Metric, controls: Collection[str]) -> Figure | None:
    """Quality against one cost over rows of one problem (any operating points); None with fewer than two points.

    The step line is the Pareto frontier of all points; the shaded area is what the controls reach. What has no finite
    value, or a cost that is not realised, is left out and named.
    """
    found, left_out = [], []
    for row in rows:
        if not row.ok:
            continue
        x, y = (lookup(row_quality(row), row_costs(row), metric.name) for metric in (cost, score))
        usable = all(c.value is not None and math.isfinite(c.value) for c in (x, y))
        if usable and x.kind != "not realised":
            found.append((row, x, y))
        else:
            why = "not realised" if x.kind == "not realised" else "no finite value"
            left_out.append(f"{row.name} at {row.board.point}: {why}")
    if len(found) < 2:
        return None
    x_axis = _axis(cost, [c for _, c, _ in found], LEFT, WIDTH - RIGHT)
    y_axis = _axis(score, [c for _, _, c in found], HEIGHT - BOTTOM, TOP)
    values = [(_v(x), _v(y)) for _, x, y in found]
    on_frontier = pareto(values, cost.better, score.better)
    names = list(
        dict.fromkeys(row.name for row in rows if row.ok)
    )  # one shape and colour in all pictures of these rows
    seen = {row.name for (row, _, _), kept in zip(found, on_frontier, strict=True) if kept or row.method in controls}
    marks = [
        _mark(
            row, x, y, (x_axis, y_axis), (cost, score), names.index(row.name), row.method in controls, kept,
            faint=len(names) > MANY and row.name not in seen,
        )
        for (row, x, y), kept in zip(found, on_frontier, strict=True)
    ]  # fmt: skip
    mine = [i for i, (row, _, _) in enumerate(found) if row.method in controls]
    best = pareto([values[i] for i in mine], cost.better, score.better)
    clear = [mark for mark in marks if not mark.faint]
    crowded = len({mark.point for mark in marks}) > 1
    named = _chief(clear, score.better) if crowded else [mark.name for mark in clear]
    return Figure(
        title=f"{score.title} versus {cost.title}",
        x=x_axis,
        y=y_axis,
        marks=marks,
        step=_step([mark for mark in marks if mark.frontier], cost.better),
        reached=[_reached(marks[i], cost.better, score.better) for i, kept in zip(mine, best, strict=True) if kept],
        labels=_labels(clear, named, _line([mark for mark in marks if mark.frontier], cost.better)),
        legend=list({mark.name: mark for mark in clear}.values()),
        left_out=left_out,
        unbounded=[f"{row.name} at {row.board.point}" for row, x, y in found if _unbounded(x) or _unbounded(y)],
        better=" and ".join(
            ("left" if cost.better == "lower" else "right", "down" if score.better == "lower" else "up")
        ),
        crowded=crowded,
        lines=[_polyline([m for m in clear if m.name == name]) for name in names if name in seen or len(names) <= MANY],
    )


def _axis(metric: Metric, costs: Sequence[Cost], start: float, end: float) -> Axis:
    values = [_v(cost) for cost in costs]
    low, high = min(values), max(values)
    log = low > 0 and high / low > 10
    low, high = _with_bars(low, high, costs, log)
    if log:
        pad = (high / low) ** 0.07
        low, high = low / pad, high * pad
    else:
        spread = high - low
        pad = 0.07 * spread if spread > 1e-9 * abs(high) else 0.1 * abs(high) or 1.0  # less is rounding alone
        low, high = (max(0.0, low - pad) if low >= 0 else low - pad), high + pad
    factor, unit = scaled(max(abs(low), abs(high)), metric.unit or costs[0].unit)
    axis = Axis("", low, high, log, start, end)
    ticks = _log_ticks(low, high) if log else _linear_ticks(low, high)
    title = f"{metric.title} ({unit})" if unit else metric.title
    return Axis(title, low, high, log, start, end, [(axis.at(t), _tick(t * factor)) for t in ticks])


def _with_bars(low: float, high: float, costs: Sequence[Cost], log: bool) -> tuple[float, float]:
    """The range with its error bars, but for those so long that the points would shrink to a spot."""
    if log:
        room = (high / low) ** 1.5
        below, above = low / room, high * room
    else:
        room = max(2 * (high - low), 0.3 * abs(high))
        below, above = low - room, high + room
    bars = [cost for cost in costs if below <= cost.low and cost.high <= above]
    return min([low, *(cost.low for cost in bars)]), max([high, *(cost.high for cost in bars)])


def _linear_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for leads in ((1, 2, 3, 5), (1, 3), (1,)):
        ticks = [lead * 10.0**d for d in decades for lead in leads if low <= lead * 10.0**d <= high]
        if len(ticks) <= 8:
            return ticks
    return ticks[:: math.ceil(len(ticks) / 8)]


def _tick(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return trimmed(number(float(f"{value:.4g}"))) if value % 1 else f"{value:,.0f}"


def _mark(
    row: Row,
    x: Cost,
    y: Cost,
    axes: tuple[Axis, Axis],
    metrics: tuple[Metric, Metric],
    index: int,
    control: bool,
    frontier: bool,
    faint: bool,
) -> Mark:
    px, py = axes[0].at(_v(x)), axes[1].at(_v(y))
    shape = SHAPES[index % len(SHAPES)]
    units = [metric.unit or cost.unit for metric, cost in zip(metrics, (x, y), strict=True)]
    return Mark(
        px, py, _bar(axes[0], x), _bar(axes[1], y), shape, index % COLOURS, control, frontier, faint,
        row.name, row.board.point,
        quantity(x.value, units[0]), interval(x.low, x.high, x.value, units[0]),
        quantity(y.value, units[1]), interval(y.low, y.high, y.value, units[1]),
    )  # fmt: skip


def marker(shape: str, r: float = RADIUS) -> str:
    """SVG path of a marker around the origin: shapes, not only colours, tell the methods apart."""
    if shape == "circle":
        return f"M{-r:.1f} 0a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
    corners, turn, inner = {
        "square": (4, 45.0, 1.0),
        "triangle": (3, 0.0, 1.0),
        "diamond": (4, 0.0, 1.0),
        "down": (3, 180.0, 1.0),
        "pentagon": (5, 0.0, 1.0),
        "star": (5, 0.0, 0.45),
        "hexagon": (6, 30.0, 1.0),
    }[shape]
    steps = corners * (2 if inner < 1 else 1)
    points = []
    for i in range(steps):
        angle = math.radians(turn + 360 * i / steps)
        radius = 1.25 * r * (inner if steps > corners and i % 2 else 1.0)
        points.append(f"{radius * math.sin(angle):.1f} {-radius * math.cos(angle):.1f}")
    return "M" + "L".join(points) + "z"


def _bar(axis: Axis, cost: Cost) -> tuple[float, float] | None:
    if _unbounded(cost) or cost.low == cost.high:
        return None
    return axis.at(cost.low), axis.at(cost.high)


def _unbounded(cost: Cost) -> bool:
    return not (math.isfinite(cost.low) and math.isfinite(cost.high))


def _step(marks: Sequence[Mark], better_cost: str) -> str:
    ordered = sorted(marks, key=lambda mark: mark.x, reverse=better_cost != "lower")
    path = f"M{ordered[0].x} {ordered[0].y}"
    for mark in ordered[1:]:
        path += f"H{mark.x}V{mark.y}"
    return path


def _reached(mark: Mark, better_cost: str, better_value: str) -> Box:
    """The rectangle of all that is no better than this point: x, y, width, height."""
    x1, x2 = (mark.x, WIDTH - RIGHT) if better_cost == "lower" else (LEFT, mark.x)
    y1, y2 = (TOP, mark.y) if better_value == "lower" else (mark.y, HEIGHT - BOTTOM)
    return (x1, y1, round(x2 - x1, 1), round(y2 - y1, 1))


def _polyline(marks: Sequence[Mark]) -> str:
    ordered = sorted(marks, key=lambda mark: mark.x)
    return "M" + "L".join(f"{mark.x} {mark.y}" for mark in ordered) if len(ordered) > 1 else ""


def _line(marks: Sequence[Mark], better_cost: str) -> list[Box]:
    """The frontier's line as thin boxes, so that no label lies on it."""
    ordered = sorted(marks, key=lambda mark: mark.x, reverse=better_cost != "lower")
    boxes: list[Box] = []
    for before, mark in pairwise(ordered):
        boxes.append((min(before.x, mark.x), before.y - 1, max(before.x, mark.x), before.y + 1))
        boxes.append((mark.x - 1, min(before.y, mark.y), mark.x + 1, max(before.y, mark.y)))
    return boxes


def _chief(marks: Sequence[Mark], better_value: str) -> list[str]:
    """Names on the frontier, and the best of each operating point."""
    best: dict[str, Mark] = {}
    for mark in sorted(marks, key=lambda mark: mark.y, reverse=better_value == "lower"):  # pixels grow downwards
        best.setdefault(mark.point, mark)
    return [mark.name for mark in [*(mark for mark in marks if mark.frontier), *best.values()]]


def _labels(marks: Sequence[Mark], named: Collection[str], line: Sequence[Box]) -> list[tuple[float, float, str, str]]:
    """One label for each of the names, (x, y, anchor, text), where it covers no point, no other label and not the line.

    Names on the frontier come first, and stand there.
    """
    marks = sorted(marks, key=lambda mark: not mark.frontier)
    taken: list[Box] = [*line, *((m.x - 6, m.y - 6, m.x + 6, m.y + 6) for m in marks)]
    placed = []
    for name in dict.fromkeys(mark.name for mark in marks if mark.name in named):
        spots = [spot for mark in marks if mark.name == name for spot in _spots(mark, name)]
        free = next((spot for spot in spots if not any(_overlap(spot[3], box) for box in taken)), None)
        if free is not None:
            x, y, anchor, box = free
            taken.append(box)
            placed.append((x, y, anchor, name))
    return placed


def _spots(mark: Mark, text: str) -> list[tuple[float, float, str, Box]]:
    width = _CHARACTER * len(text)
    spots: list[tuple[float, float, str, Box]] = []
    for dx, dy, anchor in (
        (10, 4, "start"), (-10, 4, "end"), (0, -11, "middle"), (0, 20, "middle"),
        (9, -8, "start"), (9, 17, "start"), (-9, -8, "end"), (-9, 17, "end"),
    ):  # fmt: skip
        x, y = mark.x + dx, mark.y + dy
        x1 = x if anchor == "start" else x - width if anchor == "end" else x - width / 2
        box = (x1, y - _LINE + 3, x1 + width, y + 3)
        if box[0] >= LEFT and box[2] <= WIDTH - RIGHT and box[1] >= TOP and box[3] <= HEIGHT - BOTTOM:
            spots.append((round(x, 1), round(y, 1), anchor, box))
    return spots


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _v(cost: Cost) -> float:
    return math.nan if cost.value is None else cost.value
