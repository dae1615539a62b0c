"""The page of a method: card, hyper-parameters, source, claim against measurement, every configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.contract import Card, Claim
from bench.publish.paths import safe_url
from bench.registry import Listed, Registry, SuiteInfo
from bench.registry.fields import fields_of
from bench.registry.metrics import Metric


@dataclass(frozen=True)
class ClaimView:
    """A claim and what the records say of it, a line for each board and variant."""

    claim: Claim
    metric: str
    checks: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class MethodView:
    """What the template of a method page shows. card is None if the method is no longer registered."""

    suite: str
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
    registry: Registry,
    info: SuiteInfo,
    slug: str,
    sections: Sequence[Mapping[str, Any]],
    changes: Sequence[Mapping[str, Any]],
) -> MethodView:
    """The view of one method. info: of its suite, registered or not; sections: the suite's. changes: its own, newest
    first. Its file is read and never run."""
    listed = registry.methods.get((info.slug, slug))
    configurations = [each for section in sections for each in section["configurations"] if each["method"] == slug]
    if listed is None:
        return MethodView(
            info.slug, slug, slug, None, None, "", [], [], {}, {}, "", [], configurations, changes
        )  # fmt: skip
    checks = [check for section in sections for check in section["claims"].get(slug, ())]
    claims = [
        ClaimView(claim, _title(claim.metric, info), [check for check in checks if check["claim"] == number])
        for number, claim in enumerate(listed.card.claims)
    ]
    summary = [paragraph for paragraph in listed.doc.split("\n\n") if paragraph.strip()]
    return MethodView(
        info.slug, slug, listed.card.title, listed.card, safe_url(listed.card.url), listed.family, summary,
        _parameters(registry, listed), listed.variants, listed.at_point, _source(registry, listed), claims,
        configurations, changes,
    )  # fmt: skip


def _source(registry: Registry, listed: Listed) -> str:
    """The text of the method's file; empty where it can't be read."""
    try:
        return registry.tree.read(listed.place).decode()
    except (OSError, LookupError, UnicodeError):
        return ""


def _parameters(registry: Registry, listed: Listed) -> list[tuple[str, str, str]]:
    """Name, type and default of every hyper-parameter."""
    try:
        fields = fields_of(registry.tree, listed.module, listed.name)
    except (OSError, LookupError, SyntaxError):
        return []
    return [(each.name, each.type, "required" if each.required else each.text) for each in fields]


def _title(name: str, info: SuiteInfo) -> str:
    return {**info.scores, **info.costs}.get(name, Metric(name, name)).title
