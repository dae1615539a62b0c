"""How far each row of a board stands from the best simple control, and whether it was trained."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bench.analyse.compare import Improvement
from bench.analyse.pairs import pairwise
from bench.analyse.recovery import is_fair, training_of
from bench.analyse.rows import Row
from bench.publish.amounts import amount, word_of
from bench.registry import Listed, Registry
from bench.registry.metrics import Metric

_TRAINER = PurePosixPath("suites/_training")


@dataclass(frozen=True)
class Margin:
    """A row against the best control. word: "better", "worse", "same" or "unsure"; sort: the improvement."""

    word: str
    text: str
    interval: str
    control: str
    sort: float


def margins(
    rows: Sequence[Row],
    score: Metric,
    controls: Collection[str],
    stochastic: Collection[str],
    guesses: Collection[str],
    stale: Collection[Row],
) -> dict[str, Margin]:
    """Of each method of a board (by name) its margin over the control that it gains least over, by the score, among
    those that it has to beat.

    controls: slugs. guesses: names of rows that are no better than guessing: as controls they count for nothing.
    """
    pairs = pairwise(rows, score, stochastic)
    theirs = [j for j, row in enumerate(rows) if row.ok and row.method in controls and row.name not in guesses]
    found = {}
    for i, row in enumerate(rows):
        others = [j for j in theirs if pairs.comparable[i, j] and is_fair(row, rows[j])]
        if not row.ok or row.method in controls or not others:
            continue
        best = min(others, key=lambda j: float(pairs.value[i, j]))
        change = Improvement(*pairs.of(i, best))
        named = rows[best].name + (" (stale)" if rows[best] in stale else "")
        found[row.name] = Margin(
            word_of(change.low, change.high, score.margin), *amount(change, score), named, change.value
        )
    return found


def trained(row: Row, listed: Listed | None, registry: Registry) -> str:
    """Whether the row's builds trained: "yes" or "no" by what they drew; where no build tells, "can" or "no" by whether
    the method's code has a trainer; "" where it is not known."""
    drawn = training_of(row)
    if drawn is not None:
        return "yes" if drawn else "no"
    if listed is None:
        return ""
    try:
        places = registry.content(listed).places
    except (LookupError, SyntaxError):
        return ""
    return "can" if any(_TRAINER in place.parents for place in places) else "no"


def training(row: Row) -> str:
    """What the row's builds trained on, in a word: 65,536 tokens; empty where nothing, or where it is not known."""
    drawn = training_of(row) or {}
    words = {name: name.removeprefix("training_").replace("_", " ") for name in drawn}
    return ", ".join(f"{amount:,.0f} {words[name]}" for name, amount in drawn.items())
