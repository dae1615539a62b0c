"""A board as data: JSON and CSV to download, and a small script that the page's own scripts read.

From a file:// address a page may load a script but may not fetch a file, hence the script.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analyse.pairs import Pairs
from bench.analyse.rows import Row
from bench.analyse.summary import MISSING, Cost, figure, row_costs, row_quality
from bench.publish.ranking import Ranking
from bench.registry.metrics import Metric

COLUMNS = ("rank", "method", "family", "kind", "status", "reason", "seeds", "seeds_asked", "guessing",
           "beaten_by_control", "stale")  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """Every score and cost of a board. shared: metrics that are the same on all hardware, and of each row a figure of
    each. on: of each hardware the others, with theirs."""

    shared: Sequence[Metric]
    found: Sequence[Sequence[Cost]]
    on: Mapping[str, tuple[Sequence[Metric], Sequence[Sequence[Cost]]]]


def figures_of(ranking: Ranking) -> Figures:
    """Scores and costs of the problem first, others under their bare names."""
    chief = ranking.rows[ranking.first]
    shared = [metric for metric in _metrics(chief, ranking) if metric.name not in ranking.apart]
    on = {}
    for side in ranking.sides:
        rows = ranking.rows[side.hardware]
        metrics = [metric for metric in _metrics(rows, ranking) if metric.name in ranking.apart]
        on[side.hardware] = metrics, _figures(rows, metrics)
    return Figures(shared, _figures(chief, shared), on)


def _metrics(rows: Sequence[Row], ranking: Ranking) -> list[Metric]:
    names = dict.fromkeys(name for row in rows for name in [*row_quality(row), *row_costs(row)])
    known = ranking.chief.problem.metrics
    return [m for name, m in known.items() if name in names] + [Metric(n, n) for n in names if n not in known]


def _figures(rows: Sequence[Row], metrics: Sequence[Metric]) -> list[list[Cost]]:
    """rows x metrics."""
    return [[figure(row, metric) for metric in metrics] for row in rows]


def as_json(ranking: Ranking, figures: Figures) -> str:
    """The board for other programs: an open end of an interval is null. `on` has what hangs on the hardware."""
    rows = []
    for i, line in enumerate(ranking.chief.lines):
        on = {name: _values(metrics, found[i]) for name, (metrics, found) in figures.on.items()}
        on = {name: values for name, values in on.items() if values}
        rows.append(_identity(line) | {"metrics": _values(figures.shared, figures.found[i]), "on": on})
    board = {name: value for name, value in vars(ranking.board).items() if value}
    return json.dumps({"board": board, "title": ranking.chief.title, "rows": rows}, allow_nan=False)


def _values(metrics: Sequence[Metric], costs: Sequence[Cost]) -> dict[str, Any]:
    return {
        metric.name: {"value": _finite(c.value), "low": _finite(c.low), "high": _finite(c.high), "n": c.n,
                      "unit": metric.unit or c.unit, "kind": c.kind}
        for metric, c in zip(metrics, costs, strict=True) if c is not MISSING
    }  # fmt: skip


def as_csv(ranking: Ranking, figures: Figures) -> str:
    """One line a row; of each metric the value, both ends of its interval and the number of samples. What hangs on the
    hardware has its name after an @."""
    file = io.StringIO()
    writer = csv.writer(file)
    places = [(metric.name, "") for metric in figures.shared]
    places += [(metric.name, f"@{name}") for name, (metrics, _) in figures.on.items() for metric in metrics]
    names = [f"{name}{part}{place}" for name, place in places for part in ("", ".low", ".high", ".n")]
    writer.writerow([cell(name) for name in [*COLUMNS, *names]])
    for i, line in enumerate(ranking.chief.lines):
        costs = [*figures.found[i], *(cost for _, found in figures.on.values() for cost in found[i])]
        numbers = [x for c in costs for x in (_finite(c.value), _finite(c.low), _finite(c.high), c.n or None)]
        identity = _identity(line)
        writer.writerow([*(cell(identity[name]) for name in COLUMNS), *("" if x is None else x for x in numbers)])
    return file.getvalue()


def as_script(ranking: Ranking, figures: Figures, pairs: Pairs) -> str:
    """What the page's scripts read: rows and figures, and who is surely better than whom.

    pairs: by the primary score; beats[i] are the rows that row i surely beats.
    """
    return script("board", _data(ranking, figures) | {"beats": [np.flatnonzero(row).tolist() for row in pairs.beats]})


def over_points(rankings: Sequence[Ranking], figures: Sequence[Figures], pairs: Pairs) -> str:
    """The same of all points of a problem, each row named with its point; of figures those that the tables show.

    pairs: of all rows with a result, in this order; runs[i] are the rows that row i surely beats, as the first of each
    run and how many there are.
    """
    parts = [_data(ranking, each) for ranking, each in zip(rankings, figures, strict=True)]
    columns = {m.name for ranking in rankings for table in ranking.tables.values() for m in table.columns}
    metrics = {m["name"]: m for apart in (False, True) for part in parts for m in part["metrics"]
               if m["apart"] == apart and m["name"] in columns}  # fmt: skip
    shared = [name for name, metric in metrics.items() if not metric["apart"]]
    own = [name for name, metric in metrics.items() if metric["apart"]]
    hardware = list(dict.fromkeys(name for part in parts for name in part["on"]))
    rows: list[dict[str, Any]] = []
    on: dict[str, list[Any]] = {name: [] for name in hardware}
    for ranking, part in zip(rankings, parts, strict=True):
        at = {m["name"]: i for i, m in enumerate(part["metrics"])}
        first = sum(not m["apart"] for m in part["metrics"])
        for i, row in enumerate(part["rows"]):
            if row["status"] != "ok":
                continue
            cells = [row["cells"][at[name]] if name in at else None for name in shared]
            rows.append(row | {"name": f"{row['name']}@{ranking.board.point}", "cells": cells})
            for name in hardware:
                theirs = part["on"].get(name)
                on[name].append([theirs[i][at[m] - first] if theirs and m in at else None for m in own])
    data = {"title": "", "metrics": list(metrics.values()), "first": parts[0]["first"], "on": on, "rows": rows}
    return script("board", data | {"runs": [_runs(row) for row in pairs.beats]})


def _runs(flags: Any) -> list[int]:
    """The first and the length of each run, one after the other."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [int(x) for start, end in zip(edges[::2], edges[1::2], strict=True) for x in (start, end - start)]


def _data(ranking: Ranking, figures: Figures) -> dict[str, Any]:
    """Rows, and figures to five digits.

    cells: of each row a figure of each metric that all hardware shares; `on` has the others, of each hardware.
    """
    problem = ranking.chief.problem
    apart = {metric.name: metric for metrics, _ in figures.on.values() for metric in metrics}
    on = {name: _ordered(list(apart), *theirs) for name, theirs in figures.on.items()}
    columns = [*figures.shared, *apart.values()]
    every = [(figures.shared, figures.found), *((list(apart.values()), rows) for rows in on.values())]
    units: dict[str, str] = {}
    for metrics, rows in every:
        for column, metric in enumerate(metrics):
            told = metric.unit or next((row[column].unit for row in rows if row[column].unit), "")
            units[metric.name] = units.get(metric.name) or told
    return {
        "title": ranking.chief.title,
        "metrics": [
            {"name": m.name, "title": m.title, "unit": units[m.name], "better": m.better,
             "score": m.name in problem.scores, "primary": m.primary, "apart": m.name in apart}
            for m in columns
        ],
        "first": ranking.first,
        "on": {name: [[_short(cost) for cost in row] for row in rows] for name, rows in on.items()},
        "rows": [
            {"name": line.name, "family": line.family, "kind": line.kind, "status": line.status, "rank": line.rank,
             "stale": bool(line.stale), "address": line.address, "cells": [_short(cost) for cost in row]}
            for line, row in zip(ranking.chief.lines, figures.found, strict=True)
        ],
    }  # fmt: skip


def _ordered(names: Sequence[str], metrics: Sequence[Metric], found: Sequence[Sequence[Cost]]) -> list[list[Cost]]:
    """The figures in the order of the names."""
    at = {metric.name: i for i, metric in enumerate(metrics)}
    return [[row[at[name]] if name in at else MISSING for name in names] for row in found]


def beside(ranking: Ranking, figures: Figures, of: Ranking) -> dict[str, Any]:
    """The baseline of a problem as it stands at the point where it has a result, for another board (`of`): its row and,
    by the names of the metrics, its figures; `on` has those of each hardware."""
    data = _data(ranking, figures)
    i = next(i for i, line in enumerate(ranking.chief.lines) if line.name == of.chief.problem.baseline)
    shared = [m["name"] for m in data["metrics"] if not m["apart"]]
    apart = [m["name"] for m in data["metrics"] if m["apart"]]
    row: dict[str, Any] = data["rows"][i]
    row |= {"name": f"{row['name']}@{ranking.board.point}", "rank": "–"}
    on = {name: dict(zip(apart, rows[i], strict=True)) for name, rows in data["on"].items()}
    return row | {"cells": dict(zip(shared, row["cells"], strict=True)), "on": on}


def pairs_script(
    names: Sequence[str], titles: Mapping[str, str], pairs: Mapping[str, Pairs], extra: Mapping[str, Any] | None
) -> str:
    """Every pair by the primary score and the primary costs, for the page that compares methods.

    extra: the baseline from another point (`beside`), the last of the rows. titles, pairs: by name of the metric. Each
    of value, low and high is a list by rows of tenths of a percent; null where they can't be compared.
    """
    by_metric = {name: _thousandths(found) for name, found in pairs.items()}
    return script("pairs", {"names": list(names), "extra": extra, "metrics": dict(titles), "pairs": by_metric})


def script(name: str, data: Any) -> str:
    """A script that leaves the data in a global variable. The text is ASCII and ends no script element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").replace("/", "\\/")
    return f"window.effbench=window.effbench||{{}};window.effbench[{json.dumps(name)}]={text};\n"


def cell(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets a quote in front."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _identity(line: Any) -> dict[str, Any]:
    return {
        "rank": line.rank if line.status == "ok" else "", "method": line.name, "family": line.family,
        "kind": line.kind, "status": line.status, "reason": line.reason, "seeds": line.seeds,
        "seeds_asked": line.asked, "guessing": line.guessing,
        "beaten_by_control": " ".join(line.unbeaten), "stale": "; ".join(line.stale),
    }  # fmt: skip


def _thousandths(pairs: Pairs) -> list[list[list[int | None]]]:
    return [
        [[round(1000 * x) if math.isfinite(x) and abs(x) < 1e6 else None for x in row] for row in part.tolist()]
        for part in (pairs.value, pairs.low, pairs.high)
    ]


def _short(cost: Cost) -> list[Any] | None:
    """[value, low, high, n, kind's first letter]; None if there is no value. Five digits: a page shows four."""
    if cost.value is None or not math.isfinite(cost.value):
        return None
    value, low, high = (float(f"{x:.5g}") if math.isfinite(x) else None for x in (cost.value, cost.low, cost.high))
    return [value, low, high, cost.n, cost.kind[0]]


def _finite(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None
