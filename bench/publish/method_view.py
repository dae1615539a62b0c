"""The page of a method: card, hyper-parameters, source, claim against measurement, every configuration."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.contract import SCALES, Card, Claim
from bench.publish.citation import bibtex
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
    """What the template of a method page shows. card is None if the method is no longer registered.

    home: the section that its place is told of, with the picture and the lines of it (`places_of`). path: of its file.
    """

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
    home: Mapping[str, Any] | None
    figure: Mapping[str, Any] | None
    places: Sequence[Mapping[str, Any]]
    path: str
    bibtex: str

    @property
    def costs(self) -> list[str]:
        """Titles of the costs that any line of its place has a figure of."""
        missing = ("not measured", "not realised")
        having = [title for line in self.places for title, cell in line["costs"] if not any(m in cell for m in missing)]
        return list(dict.fromkeys(having))

    @property
    def differences(self) -> list[str]:
        """Where this version differs from the paper, point by point, and the notes, sentence by sentence."""
        if self.card is None:
            return []
        notes = " ".join(self.card.notes.split())
        return [*self.card.differences, *filter(None, re.split(r"(?<=[.!?]) +(?=[A-Z])", notes))]


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
    configurations = _configurations(sections, slug)
    home = _home(sections, slug)
    places = [line for line in home["places"] if line["method"] == slug] if home else []
    figure = _figure(home, slug)
    if listed is None:
        return MethodView(
            info.slug, slug, slug, None, None, "", [], [], {}, {}, "", [], configurations, changes, home, figure,
            places, "", "",
        )  # fmt: skip
    checks = _once([check for section in sections for check in section["claims"].get(slug, ())])
    claims = [
        ClaimView(claim, _title(claim.metric, info), [check for check in checks if check["claim"] == number])
        for number, claim in enumerate(listed.card.claims)
    ]
    summary = [paragraph for paragraph in listed.doc.split("\n\n") if paragraph.strip()]
    return MethodView(
        info.slug, slug, listed.card.title, listed.card, safe_url(listed.card.url), listed.family, summary,
        _parameters(registry, listed), listed.variants, listed.at_point, _source(registry, listed), claims,
        configurations, changes, home, figure, places, str(listed.place), bibtex(listed.card),
    )  # fmt: skip


def _configurations(sections: Sequence[Mapping[str, Any]], slug: str) -> list[Mapping[str, Any]]:
    """Each configuration of the method once, with its records on each hardware: `on` has what each says of it."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for each in (each for section in sections for each in section["configurations"] if each["method"] == slug):
        found.setdefault((each["scale"], each["base"], each["point"], each["variant"]), []).append(each)
    chief = [max(same, key=lambda c: (c["current"] and c["status"] == "ok", c["current"])) for same in found.values()]
    return [
        {**best, "on": same, "records": sum(each["records"] for each in same),
         "newest": max(each["newest"] for each in same), "stale": [] if _is_fresh(same) else best["stale"]}
        for best, same in zip(chief, found.values(), strict=True)
    ]  # fmt: skip


def _is_fresh(same: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the configuration has a result of today's code somewhere."""
    return any(each["current"] and each["status"] == "ok" and not each["stale"] for each in same)


def _home(sections: Sequence[Mapping[str, Any]], slug: str) -> Mapping[str, Any] | None:
    """The section that has most results of the method, toy scales last; None without one."""

    def results(section: Mapping[str, Any]) -> tuple[bool, int, int]:
        lines = sum(line["method"] == slug for line in section["places"])
        return section["scale"] != SCALES[0], lines, len(section["timed"])

    return max((s for s in sections if results(s)[1]), key=results, default=None)


def _figure(home: Mapping[str, Any] | None, slug: str) -> Mapping[str, Any] | None:
    """The first picture of the section that the method stands in."""
    figures: Sequence[Mapping[str, Any]] = home["figures"] if home else []
    having = (f for f in figures if any(mark["name"].split(":")[0] == slug for mark in f["marks"]))
    return next(having, None)


def _once(checks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The checks, each once that is of no hardware: a score is the same on all. Of several the first that was measured
    stands."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for check in sorted(checks, key=lambda check: check["outcome"] == "not measured"):
        place = check["claim"], check["point"], check["variant"], check["base"], check["scale"]
        found.setdefault((*place, check["hardware"] if check["on_hardware"] else ""), check)
    order = {id(check): i for i, check in enumerate(checks)}
    return sorted(found.values(), key=lambda check: order[id(check)])


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
