"""The page of a method: card, hyper-parameters, source, claim against measurement, every configuration."""

import dataclasses
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import Card, Claim, Method, Metric, SuiteInfo
from bench.contract.registry import family
from bench.publish.paths import safe_url


@dataclass(frozen=True)
class ClaimView:
    """A claim and what the records say of it, a line for each board and variant."""

    claim: Claim
    metric: str
    checks: Sequence[Mapping[str, Any]]


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
    at_point: Mapping[str, Mapping[str, Any]]
    source: str
    claims: Sequence[ClaimView]
    configurations: Sequence[Mapping[str, Any]]
    changes: Sequence[Mapping[str, Any]]


def make_method(
    slug: str,
    method: type[Method[Any]] | None,
    sections: Sequence[Mapping[str, Any]],
    changes: Sequence[Mapping[str, Any]],
    infos: Mapping[str, SuiteInfo],
) -> MethodView:
    """The view of one method from what the sections say of it; changes: its own, newest first."""
    configurations = [each for section in sections for each in section["configurations"] if each["method"] == slug]
    if method is None:
        return MethodView(slug, slug, None, None, "", [], [], {}, {}, "", [], configurations, changes)
    card = method.card
    checks = [check for section in sections for check in section["claims"].get(slug, ())]
    claims = [
        ClaimView(
            claim, _metric(claim.metric, infos.get(card.suite)).title, [c for c in checks if c["claim"] == number]
        )
        for number, claim in enumerate(card.claims)
    ]
    summary = [p for p in inspect.cleandoc(method.__doc__ or "").split("\n\n") if p.strip()]
    return MethodView(
        slug, card.title, card, safe_url(card.url), family(method), summary, _parameters(method),
        {name: dict(settings) for name, settings in method.variants.items()},
        {name: dict(settings) for name, settings in method.at_point.items()}, _source(method), claims, configurations,
        changes,
    )  # fmt: skip


def _source(method: type[Method[Any]]) -> str:
    """The text of the method's file; empty where it can't be read."""
    module = sys.modules.get(method.__module__)
    try:
        return Path(str(getattr(module, "__file__", ""))).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""


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
