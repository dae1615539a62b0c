"""A board as data: JSON and CSV to download, and a small script that the page's own scripts read.

From a file:// address a page may load a script but may not fetch a file, hence the script.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.analyse.pairs import Pairs
from bench.analyse.rows import Row
from bench.analyse.summary import MISSING, Cost, figure, row_costs, row_quality
from bench.publish.table_view import Table
from bench.registry import ProblemInfo
from bench.registry.metrics import Metric

COLUMNS = ("rank", "method", "family", "kind", "status", "reason", "seeds", "seeds_elsewhere",
           "seeds_asked", "guessing", "beaten_by_control", "stale")  # fmt: skip


def board_metrics(rows: Sequence[Row], problem: ProblemInfo) -> list[Metric]:
    """Every score and cost that a row has, those of the problem first; others under their bare names."""
    names = dict.fromkeys(name for row in rows for name in [*row_quality(row), *row_costs(row)])
    known = problem.metrics
    return [m for name, m in known.items() if name in names] + [Metric(n, n) for n in names if n not in known]


def figures(rows: Sequence[Row], metrics: Sequence[Metric]) -> list[list[Cost]]:
    """rows x metrics."""
    return [[figure(row, metric) for metric in metrics] for row in rows]


def as_json(table: Table, metrics: Sequence[Metric], found: Sequence[Sequence[Cost]]) -> str:
    """The board for other programs: an open end of an interval is null."""
    rows = [
        _identity(line)
        | {
            "metrics": {
                metric.name: {"value": _finite(c.value), "low": _finite(c.low), "high": _finite(c.high), "n": c.n,
                              "unit": metric.unit or c.unit, "kind": c.kind}
                for metric, c in zip(metrics, costs, strict=True) if c is not MISSING
            }
        }
        for line, costs in zip(table.lines, found, strict=True)
    ]  # fmt: skip
    return json.dumps({"board": vars(table.board), "title": table.title, "rows": rows}, allow_nan=False)


def as_csv(table: Table, metrics: Sequence[Metric], found: Sequence[Sequence[Cost]]) -> str:
    """One line a row; of each metric the value, both ends of its interval and the number of samples."""
    file = io.StringIO()
    writer = csv.writer(file)
    names = [f"{metric.name}{part}" for metric in metrics for part in ("", ".low", ".high", ".n")]
    writer.writerow([cell(name) for name in [*COLUMNS, *names]])
    for line, costs in zip(table.lines, found, strict=True):
        numbers = [x for c in costs for x in (_finite(c.value), _finite(c.low), _finite(c.high), c.n or None)]
        identity = _identity(line)
        writer.writerow([*(cell(identity[name]) for name in COLUMNS), *("" if x is None else x for x in numbers)])
    return file.getvalue()


def as_script(
    table: Table, metrics: Sequence[Metric], found: Sequence[Sequence[Cost]], problem: ProblemInfo, pairs: Pairs
) -> str:
    """What the page's scripts read: rows, figures to five digits, and who is surely better than whom.

    pairs: by the primary score; beats[i] are the rows that row i surely beats.
    """
    units = {}
    for column, metric in enumerate(metrics):
        costs = [row[column] for row in found]
        units[metric.name] = metric.unit or next((c.unit for c in costs if c.unit), "")
    data = {
        "title": table.title,
        "metrics": [
            {"name": m.name, "title": m.title, "unit": units[m.name], "better": m.better,
             "score": m.name in problem.scores, "primary": m.primary}
            for m in metrics
        ],
        "rows": [
            {"name": line.name, "family": line.family, "kind": line.kind, "status": line.status, "rank": line.rank,
             "stale": bool(line.stale),
             "address": line.address, "cells": [_short(cost) for cost in costs]}
            for line, costs in zip(table.lines, found, strict=True)
        ],
        "beats": [np.flatnonzero(row).tolist() for row in pairs.beats],
    }  # fmt: skip
    return script("board", data)


def pairs_script(names: Sequence[str], problem: ProblemInfo, pairs: Mapping[str, Pairs]) -> str:
    """Every pair by the primary score and the primary costs, for the page that compares methods.

    pairs: by name of the metric. Each of value, low and high is a list by rows of tenths of a percent; null where they
    can't be compared.
    """
    titles = {name: metric.title for name, metric in problem.metrics.items() if name in pairs}
    by_metric = {name: _thousandths(found) for name, found in pairs.items()}
    return script("pairs", {"names": list(names), "metrics": titles, "pairs": by_metric})


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
        "seeds_elsewhere": line.elsewhere, "seeds_asked": line.asked, "guessing": line.guessing,
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
