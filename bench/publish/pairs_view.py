"""All pairs of a board as a page that needs no script: every method against the baseline, its best control, each other.

A board of n methods has n² pairs. Up to MOST methods the primary score's are all written out; those of the costs, and
more methods, are compared on the page for comparing.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from bench.analyse.compare import Improvement
from bench.analyse.pairs import Pairs
from bench.analyse.rows import Row
from bench.publish.amounts import amount, word_of
from bench.publish.format import number
from bench.registry import ProblemInfo
from bench.registry.metrics import Metric

MOST = 60


@dataclass(frozen=True)
class Verdict:
    """One row against another. word: "better", "worse", "same", "unsure"; empty if they can't be compared."""

    word: str = ""
    value: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Against:
    """A row of the table. control: the control that does best by the primary score; each verdict is one metric's."""

    name: str
    baseline: Sequence[Verdict]
    control: str
    best: Sequence[Verdict]


@dataclass(frozen=True)
class PairsView:
    """metrics: the primary score and costs. names and matrix: the score's pairs, row against column; may be empty."""

    metrics: Sequence[Metric]
    baseline: str
    rows: Sequence[Against]
    names: Sequence[str]
    matrix: Sequence[Sequence[Verdict]]


def make_pairs(
    rows: Sequence[Row],
    pairs: Mapping[str, Pairs],
    known: Mapping[str, Metric],
    problem: ProblemInfo,
    controls: Set[str],
) -> PairsView | None:
    """The view of one board's rows, in the order given; None with fewer than two that have a result.

    pairs: of all rows, by the primary score and each primary cost. known: these metrics, by the same names.
    """
    shown = [i for i, row in enumerate(rows) if row.ok]
    if len(shown) < 2:
        return None
    score = pairs[problem.primary.name]
    baseline = next((i for i in shown if rows[i].method == problem.baseline), None)
    found = []
    for i in shown:
        others = [j for j in shown if rows[j].method in controls - {rows[i].method} and score.comparable[i, j]]
        best = min(others, key=lambda j: float(score.value[i, j]), default=None)  # it gains least over the best one
        named = "" if best is None else rows[best].name
        verdicts = (_all(pairs, i, other, known) for other in (baseline, best))
        found.append(Against(rows[i].name, next(verdicts), named, next(verdicts)))
    matrix = [[verdict(score, i, j, problem.primary) for j in shown] for i in shown] if len(shown) <= MOST else []
    return PairsView(
        [known[name] for name in pairs], "" if baseline is None else problem.baseline, found,
        [rows[i].name for i in shown] if matrix else [], matrix,
    )  # fmt: skip


def verdict(pairs: Pairs, i: int, j: int, metric: Metric) -> Verdict:
    """Row i against row j, in words, and in percent or in the metric's unit."""
    if i == j or not pairs.comparable[i, j]:
        return Verdict()
    value, low, high = pairs.of(i, j)
    word = word_of(low, high, metric.margin)
    if metric.difference == "absolute":
        return Verdict(word, *amount(Improvement(value, low, high), metric))
    return Verdict(word, _percent(value), f"[{_percent(low)}, {_percent(high)}]")


def _all(pairs: Mapping[str, Pairs], i: int, j: int | None, known: Mapping[str, Metric]) -> list[Verdict]:
    return [Verdict() if j is None else verdict(each, i, j, known[name]) for name, each in pairs.items()]


def _percent(fraction: float) -> str:
    if math.isnan(fraction):
        return "–"
    sign = "+" if fraction > 0 else ""
    return sign + (number(100 * fraction, 3) if abs(fraction) < 1e6 else number(math.copysign(math.inf, fraction)))
