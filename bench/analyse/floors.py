"""What is no better than guessing: it stands at the bottom of its board, and nothing is said of two such rows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analyse.pairs import Pairs, apart, chance_of, pairwise
from bench.analyse.problems import problem_at
from bench.analyse.rows import Board, Row
from bench.analyse.summary import row_quality
from bench.registry import SuiteInfo
from bench.registry.metrics import Metric

Guess = Literal["no better than guessing", "worse than guessing"]


def guessing(
    rows: Sequence[Row], score: Metric, trivial: Collection[str], stochastic: Collection[str] = ()
) -> dict[str, Guess]:
    """The rows of a board (by name) that are not surely better than what guessing gets, all of them taken together.

    Guessing gets the score's floor, and what each trivial control (by slug) got on this board. A row is worse than
    guessing if it is surely worse than one of them; else, where it is not surely better than each, it is no better. The
    trivial controls are no better than guessing themselves. Where there is neither a floor nor such a control: none.
    """
    known = [i for i, row in enumerate(rows) if row.ok and row.method in trivial]
    others = [i for i, row in enumerate(rows) if row.ok and row.method not in trivial]
    pairs = pairwise(rows, score, stochastic)
    against = np.zeros((len(rows), len(rows) + 1), dtype=bool)  # the last column: the floor
    against[np.ix_(others, known)] = pairs.comparable[np.ix_(others, known)]
    value, chance = np.full(against.shape, np.nan), np.ones(against.shape)
    value[:, :-1], chance[:, :-1] = pairs.value, pairs.chance
    for i in others:
        distance = _from_floor(rows[i], score)
        if distance is not None:
            against[i, -1] = True
            value[i, -1], chance[i, -1] = distance
    sure = apart(chance, against)
    better, worse = sure & (value > 0), sure & (value < 0)
    found: dict[str, Guess] = {rows[i].name: "no better than guessing" for i in known}
    for i in others:
        if worse[i].any():
            found[rows[i].name] = "worse than guessing"
        elif not np.array_equal(better[i], against[i]):
            found[rows[i].name] = "no better than guessing"
    return found


@dataclass(frozen=True)
class Floors:
    """What is no better than guessing on the boards of some rows of one suite. trivial, stochastic: slugs."""

    rows: Sequence[Row]
    info: SuiteInfo
    trivial: Collection[str] = ()
    stochastic: Collection[str] = ()
    _known: dict[tuple[Board, str], dict[str, Guess]] = field(default_factory=dict)

    def of(self, row: Row, score: Metric | None = None) -> Guess | None:
        """What is said of a row by a score; by the one that ranks where none is named."""
        score = score or problem_at(self.info, row.board.point).primary
        if (row.board, score.name) not in self._known:
            board = [other for other in self.rows if other.board == row.board]
            self._known[row.board, score.name] = guessing(board, score, self.trivial, self.stochastic)
        return self._known[row.board, score.name].get(row.name)


def _from_floor(row: Row, score: Metric) -> tuple[float, float] | None:
    """How much better than the floor, positive is better, and the chance of so much or more; None without a floor."""
    floor, found = score.guess(row.board.base), row_quality(row).get(score.name)
    if floor is None or found is None:
        return None
    value, low, high = found.value, found.low, found.high
    logs = row.scores(score.name)[0][0].aggregate == "exp_mean"
    if logs:
        value, low, high, floor = (float(np.log(max(x, 1e-300))) for x in (value, low, high, floor))
    gain = value - floor
    if np.isnan(gain):
        return 0.0, 1.0
    with np.errstate(all="ignore"):
        chance = float(chance_of(*(np.array(end - floor) for end in (value, low, high))))
    return (gain if score.better == "higher" else -gain), chance


def silenced(pairs: Pairs, at_bottom: NDArray[np.bool_]) -> Pairs:
    """The pairs without those of two rows at the bottom."""
    both = at_bottom[:, None] & at_bottom[None, :] & ~np.eye(len(at_bottom), dtype=bool)
    return pairs.mapped(lambda part: np.where(both, np.nan, part))
