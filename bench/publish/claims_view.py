"""What the claims of a section's methods are worth there, as their pages say it."""

from collections.abc import Collection, Sequence
from typing import Any

from bench.analyse.claims import ClaimCheck, check_claims
from bench.analyse.floors import Floors
from bench.analyse.problems import problem_at
from bench.analyse.rows import Row, few_seeds
from bench.publish.amounts import amount
from bench.publish.context import Section
from bench.publish.paths import record_address
from bench.registry.metrics import Metric


def claims_of(
    section: Section, rows: Sequence[Row], floors: Floors, apart: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """By slug, plain JSON; `claim` counts the claims of the method's card. floors: of all rows. apart: names of the
    costs that hang on the hardware."""
    registry, suite = section.context.registry, section.place.suite
    stochastic = registry.stochastic(suite)
    found: dict[str, list[dict[str, Any]]] = {}
    for slug in dict.fromkeys(row.method for row in rows):
        listed = registry.methods.get((suite, slug))
        if listed is not None:
            for check in check_claims(listed.card, rows, section.info, floors):
                number = listed.card.claims.index(check.claim)
                metric = problem_at(section.info, check.row.board.point).metrics.get(check.claim.metric)
                on = check.claim.metric in apart or section.is_clocked(check.row.board.point)
                said = _said(check, stochastic, metric) | {"claim": number, "on_hardware": on}
                found.setdefault(slug, []).append(said)
    return found


def _said(check: ClaimCheck, stochastic: Collection[str], metric: Metric | None) -> dict[str, Any]:
    board = check.row.board
    improvement, within = ("", "") if check.improvement is None else amount(check.improvement, metric)
    return {
        "point": board.point, "variant": check.row.variant, "hardware": board.hardware, "scale": board.scale,
        "base": board.base, "versus": check.versus, "outcome": check.outcome, "reason": check.reason,
        "improvement": improvement, "within": within,
        "address": record_address(check.row.home, check.row.method, check.row.variant),
        "few_seeds": [r.name for r in (check.row, check.opponent) if r is not None and few_seeds(r, stochastic)],
    }  # fmt: skip
