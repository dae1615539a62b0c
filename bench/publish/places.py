"""The place of each row of a board: on the frontier, or how far behind whom."""

import math
from collections.abc import Collection, Sequence
from typing import Any

from bench.analyse.compare import improvement
from bench.analyse.frontier import pareto
from bench.analyse.rows import Row
from bench.analyse.summary import figure, value_of
from bench.publish.amounts import amount
from bench.publish.pages import cell_html
from bench.publish.table_view import Line, Table
from bench.registry.metrics import Metric


def places_of(table: Table, rows: Sequence[Row], stale: Collection[Row], base: str) -> list[dict[str, Any]]:
    """Plain JSON, a line for each row with a result: its place by the primary score against the first primary cost, its
    score, margin, costs, and whether it was trained. rows: of the table's board. stale: those not of today's code.
    base: the board's page without its ending."""
    score, *costs = table.problem.primaries
    cost = costs[0] if costs else score
    by_name = {row.name: row for row in rows}
    serious = [by_name[line.name] for line in table.ok if not line.guessing]
    points = [(value_of(figure(row, cost)), value_of(figure(row, score))) for row in serious]
    best = {row for row, kept in zip(serious, pareto(points, cost.better, score.better), strict=True) if kept}
    drawn = [row for row, point in zip(serious, points, strict=True) if not any(map(math.isnan, point))]
    return [
        _line(table, line, *_place(by_name[line.name], line, drawn, best, (score, cost), stale))
        | {"board": f"{base}.html"}
        for line in table.ok
    ]


def _place(
    row: Row, line: Line, rows: Sequence[Row], best: Collection[Row], by: tuple[Metric, Metric], stale: Collection[Row]
) -> tuple[str, str]:
    """A word of the place ("frontier", "behind", "level", "guessing" or ""), and how it is said."""
    score, cost = by
    if line.guessing:
        return "guessing", line.guessing
    if row in best:
        return "frontier", "on the frontier"
    if row not in rows:
        return "", f"{cost.title} was not measured"
    ahead = [other for other in rows if other is not row and all(_no_worse(other, row, metric) for metric in by)]
    first = min(ahead, key=lambda other: _signed(other, score), default=None)
    change = None if first is None else improvement(row, first, score)
    if first is None or change is None:
        return "", ""
    name = first.name + (" (stale)" if first in stale else "")
    if change.low <= 0 <= change.high:
        return "level", f"cannot be told apart from {name}, which takes no more"
    text, _ = amount(change, score)
    return "behind", f"{text} than {name}" if "×" in text else f"{text.lstrip('−')} behind {name}"


def _no_worse(other: Row, row: Row, metric: Metric) -> bool:
    return _signed(other, metric) <= _signed(row, metric)


def _signed(row: Row, metric: Metric) -> float:
    value = value_of(figure(row, metric))
    return value if metric.better == "lower" else -value


def _line(table: Table, line: Line, place: str, said: str) -> dict[str, Any]:
    chief = table.chief
    cells = {metric.name: cell for metric, cell in zip(table.columns, line.cells, strict=True)}
    return {
        "method": line.method, "name": line.name, "point": table.board.point, "title": table.title,
        "place": place, "said": said, "rank": line.rank, "score_title": chief[0].title,
        "score": cell_html(cells[chief[0].name]), "costs": [(m.title, cell_html(cells[m.name])) for m in chief[1:]],
        "margin": vars(line.margin) if line.margin else None, "trained": line.trained, "stale": list(line.stale),
        "address": line.address,
    }  # fmt: skip
