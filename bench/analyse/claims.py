"""What the papers claim against what was measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from bench.analyse.compare import Improvement, change_from_baseline, improvement
from bench.analyse.floors import Floors
from bench.analyse.problems import problem_at, same_problem
from bench.analyse.rows import Row
from bench.analyse.summary import figure
from bench.contract import Card, Claim
from bench.registry import SuiteInfo
from bench.registry.metrics import Metric

Outcome = Literal["holds", "does not hold", "unsure", "not measured", "cannot be tested here"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class ClaimCheck:
    """A claim at one operating point. improvement: by `metric`, positive is better for the method that claims; relative
    unless the metric's differences are absolute.

    opponent: the row that it is held against; None without one, and where the claim is of a ratio to the baseline.
    """

    claim: Claim
    row: Row
    versus: str
    outcome: Outcome
    improvement: Improvement | None
    reason: str = ""
    opponent: Row | None = None


def check_claims(card: Card, rows: Sequence[Row], info: SuiteInfo, floors: Floors | None = None) -> list[ClaimCheck]:
    """Every claim of the card at every board and variant of the method in `rows` that it is about.

    floors: of the rows; made of the suite's stated floors alone where it is not given.
    """
    floors = floors or Floors(rows, info)
    mine = [row for row in rows if row.method == card.slug and row.board.suite == info.slug]
    return [
        check_claim(claim, row, rows, info, floors)
        for claim in card.claims
        for row in mine
        if card.is_claimed(claim, row.variant, row.board.point)
    ]


def check_claim(claim: Claim, row: Row, rows: Sequence[Row], info: SuiteInfo, floors: Floors) -> ClaimCheck:
    """Hold one claim against the rows of the same suite, version, hardware, scale, base and point.

    Against a method with several variants it must stand against the one that is its like (`_alike`), or else against
    the strongest. It holds if the whole interval of the improvement reaches what the claim's relation asks for (see
    `bench.contract.Claim`), and does not if none of it does. It cannot be tested where its card says why, and where
    both are no better than guessing.
    """
    problem = problem_at(info, row.board.point)
    versus = claim.versus or problem.baseline
    metric = problem.metrics.get(claim.metric) or Metric(claim.metric, claim.metric)
    if claim.out_of_reach is not None and row.board.scale != "full":
        return ClaimCheck(claim, row, versus, "cannot be tested here", None, claim.out_of_reach)
    if not row.ok:
        return ClaimCheck(claim, row, versus, "not measured", None, f"{row.status}: {row.failed[-1].reason or ''}")
    if versus == problem.baseline and claim.metric.endswith("ratio"):
        change = change_from_baseline(row, metric)
        reason = "" if change else f"no comparable {claim.metric} was measured"
        return ClaimCheck(claim, row, versus, _outcome(claim, change, metric), change, reason)
    opponent = _strongest(_opponents(row, rows, versus, info), metric)
    if opponent is None:
        return ClaimCheck(claim, row, versus, "not measured", None, f"no result of {versus} to compare with")
    scores = [problem.primary, *([metric] if metric.name in problem.scores else [])]
    if any(floors.of(row, score) and floors.of(opponent, score) for score in scores):
        reason = "both are no better than guessing"
        return ClaimCheck(claim, row, opponent.name, "cannot be tested here", None, reason, opponent)
    change = improvement(row, opponent, metric)
    reason = "" if change else f"{claim.metric} is not comparable: missing, not realised, or over other data"
    return ClaimCheck(claim, row, opponent.name, _outcome(claim, change, metric), change, reason, opponent)


def _outcome(claim: Claim, change: Improvement | None, metric: Metric) -> Outcome:
    if change is None:
        return "not measured"
    if claim.relation == "better":
        return "holds" if change.low > 0 else "does not hold" if change.high <= 0 else "unsure"
    least = -metric.margin if claim.share is None else _least_kept(claim.share, metric)
    return "holds" if change.low >= least else "does not hold" if change.high < least else "unsure"


def _least_kept(share: float, metric: Metric) -> float:
    """The improvement of what keeps just this share of another's value."""
    return share - 1 if metric.better == "higher" else 1 - 1 / share


def _opponents(row: Row, rows: Sequence[Row], versus: str, info: SuiteInfo) -> list[Row]:
    """Successful rows of `versus`, a slug or slug:variant (slug:default for that alone), on the row's board.

    The baseline is within few budgets; where it has no result it is taken from another point of the same problem.
    """
    theirs = [other for other in rows if versus in _names(other) and other is not row and other.ok]
    here = _alike(row, [other for other in theirs if other.board == row.board])
    if here or row.board.point not in info.points or versus != info.problem_of(row.board.point).baseline:
        return here
    return [
        other
        for other in theirs
        if same_problem(info, row.board.point, other.board.point) and _elsewhere(other) == _elsewhere(row)
    ]


def _names(row: Row) -> tuple[str, str]:
    """What a claim may call the row's method: the slug, and slug:variant for this variant alone."""
    return row.method, f"{row.method}:{row.variant}"


def _alike(row: Row, theirs: list[Row]) -> list[Row]:
    """Those with the row's own variant, where it is not the default and there are any: 3 bits are held against 3 bits.
    Of a variant such as "w3-uniform" the part before the dash counts too."""
    for variant in (row.variant, row.variant.split("-")[0]):
        if variant != "default" and (same := [other for other in theirs if other.variant == variant]):
            return same
    return theirs


def _elsewhere(row: Row) -> tuple[str, ...]:
    board = row.board
    return (board.suite, board.suite_version, board.hardware, board.scale, board.base)


def _strongest(rows: Sequence[Row], metric: Metric) -> Row | None:
    def strength(row: Row) -> float:
        value = figure(row, metric).value
        if value is None or math.isnan(value):
            return float("-inf")
        return -value if metric.better == "lower" else value

    return max(rows, key=strength, default=None)
