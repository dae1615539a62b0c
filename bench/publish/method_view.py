"""The page of a method: card, hyper-parameters, claim against measurement, all records."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analyse.claims import ClaimCheck, check_claims
from bench.analyse.rows import Row
from bench.analyse.summary import Cost, quality
from bench.contract import Card, Claim, Method, Metric, SuiteInfo
from bench.contract.registry import family
from bench.publish.format import interval, percent
from bench.publish.paths import safe_url
from bench.publish.table_view import Cell, make_cell
from bench.record.schema import Record


@dataclass(frozen=True)
class ClaimView:
    """A claim and, for each board and variant, what the records say of it: (check, improvement, its interval)."""

    claim: Claim
    metric: str
    checks: Sequence[tuple[ClaimCheck, str, str]]


@dataclass(frozen=True)
class MethodView:
    """What the template of a method page shows. card is None if the method is no longer registered."""

    slug: str
    title: str
    card: Card | None
    url: str | None
    family: str
    summary: Sequence[str]
    parameters: Sequence[tuple[str, str, str]]
    variants: Mapping[str, Mapping[str, Any]]
    claims: Sequence[ClaimView]
    records: Sequence[tuple[Record, Cell | None]]


def make_method(
    slug: str,
    method: type[Method[Any]] | None,
    rows: Sequence[Row],
    records: Sequence[Record],
    infos: Mapping[str, SuiteInfo],
) -> MethodView:
    """The view of one method; rows: all current rows of its suites, records: its own, newest first."""
    shown = [(record, _primary(record, infos[record.suite])) for record in records]
    if method is None:
        return MethodView(slug, slug, None, None, "", [], [], {}, [], shown)
    card = method.card
    info = infos.get(card.suite)
    checks = check_claims(card, rows, info) if info else []
    claims = [
        ClaimView(claim, _metric(claim.metric, info).title, [_shown(check) for check in checks if check.claim == claim])
        for claim in card.claims
    ]
    summary = [p for p in inspect.cleandoc(method.__doc__ or "").split("\n\n") if p.strip()]
    return MethodView(
        slug, card.title, card, safe_url(card.url), family(method), summary, _parameters(method),
        {name: dict(settings) for name, settings in method.variants.items()}, claims, shown,
    )  # fmt: skip


def _shown(check: ClaimCheck) -> tuple[ClaimCheck, str, str]:
    change = check.improvement
    if change is None:
        return check, "", ""
    within = interval(100 * change.low, 100 * change.high, change.value)
    return check, percent(change.value), within.replace("]", "] %") if within else ""


def _parameters(method: type[Method[Any]]) -> list[tuple[str, str, str]]:
    """Name, type and default of every hyper-parameter."""
    if not dataclasses.is_dataclass(method):
        return []
    found = []
    for parameter in dataclasses.fields(method):
        kind = (
            parameter.type
            if isinstance(parameter.type, str)
            else getattr(parameter.type, "__name__", str(parameter.type))
        )
        required = parameter.default is dataclasses.MISSING
        found.append((parameter.name, kind, "required" if required else repr(parameter.default)))
    return found


def _metric(name: str, info: SuiteInfo | None) -> Metric:
    known = {**info.scores, **info.costs} if info else {}
    return known.get(name, Metric(name, name))


def _primary(record: Record, info: SuiteInfo) -> Cell | None:
    estimate = quality(record).get(info.primary.name)
    if estimate is None:
        return None
    return make_cell(Cost(estimate.value, estimate.low, estimate.high, estimate.n, "", "measured"), info.primary)
