"""What the claims of a section's methods are worth there, as their pages say it."""

from collections.abc import Collection, Sequence
from typing import Any

from bench.analyse.claims import ClaimCheck, check_claims
from bench.analyse.rows import Row, few_seeds
from bench.publish.context import Section
from bench.publish.format import interval, percent
from bench.publish.paths import record_address


def claims_of(section: Section, rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """By slug, plain JSON; `claim` counts the claims of the method's card."""
    registry, suite = section.context.registry, section.place.suite
    stochastic = registry.stochastic(suite)
    found: dict[str, list[dict[str, Any]]] = {}
    for slug in dict.fromkeys(row.method for row in rows):
        listed = registry.methods.get((suite, slug))
        if listed is not None:
            for check in check_claims(listed.card, rows, section.info):
                number = listed.card.claims.index(check.claim)
                found.setdefault(slug, []).append(_said(check, stochastic) | {"claim": number})
    return found


def _said(check: ClaimCheck, stochastic: Collection[str]) -> dict[str, Any]:
    change, board = check.improvement, check.row.board
    within = "" if change is None else interval(100 * change.low, 100 * change.high, change.value)
    return {
        "point": board.point, "variant": check.row.variant, "hardware": board.hardware, "scale": board.scale,
        "base": board.base, "versus": check.versus, "outcome": check.outcome, "reason": check.reason,
        "improvement": "" if change is None else percent(change.value), "within": within.replace("]", "] %"),
        "address": record_address(check.row.home, check.row.method, check.row.variant),
        "few_seeds": [r.name for r in (check.row, check.opponent) if r is not None and few_seeds(r, stochastic)],
    }  # fmt: skip
