"""What was measured of a suite, and what was not: methods by operating points by hardware."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.publish.paths import file_name
from bench.record.schema import FAILURES
from bench.registry import Registry, SuiteInfo

STATES = {
    "timed": ("●", "scores and speed"),
    "ok": ("○", "scores, no speed"),
    "stale": ("◌", "stale: made by earlier code"),
    "failed": ("✗", "failed"),
    "refused": ("–", "refused: not made for it, or over a limit"),
    "never": ("·", "never tried"),
}
"""Of a method at a point on one hardware, the best first, with a sign and its words."""


@dataclass(frozen=True)
class Cell:
    """A method at a point. states: on each hardware, in the order of the matrix; empty if it is not for the point."""

    states: Sequence[str]

    @property
    def said(self) -> str:
        """A sign for each hardware."""
        return "".join(STATES[state][0] for state in self.states)


@dataclass(frozen=True)
class Matrix:
    """One scale and base. hardware: in the order of the signs. rows: slug, kind and a cell for each point.

    sums: of each point and of all, the scores that are measured (once, on whatever hardware), of how many of them the
    speed is measured somewhere, and how many hardware and method pairs are in each state.
    """

    id: str
    scale: str
    base: str
    hardware: Sequence[str]
    points: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[Cell]]]
    sums: Mapping[str, Mapping[str, int]]


def coverage(info: SuiteInfo, sections: Sequence[Mapping[str, Any]], registry: Registry) -> list[Matrix]:
    """A matrix for each scale and base of the suite's sections (as `build_section` tells of them)."""
    places = list(dict.fromkeys((section["scale"], section["base"]) for section in sections))
    return [
        _matrix(info, scale, base, [s for s in sections if (s["scale"], s["base"]) == (scale, base)], registry)
        for scale, base in places
    ]


def results(sections: Iterable[Mapping[str, Any]], point: str | None = None) -> list[list[Mapping[str, Any]]]:
    """The results that these sections hold, at all points or at one: a method's variant at a point with a score of
    today's version is one, on how many kinds of hardware it may have run; each as what every hardware says of it."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for section in sections:
        where = section["suite"], section["scale"], section["base"]
        for each in section["configurations"]:
            if each["current"] and each["status"] == "ok" and point in (None, each["point"]):
                found.setdefault((*where, each["point"], each["method"], each["variant"]), []).append(each)
    return list(found.values())


def distinct(sections: Iterable[Mapping[str, Any]], point: str | None = None) -> tuple[int, int]:
    """How many results there are, and of how many the speed is measured somewhere."""
    found = results(sections, point)
    return len(found), sum(any(each["timed"] for each in same) for same in found)


def state_of(configuration: Mapping[str, Any]) -> str:
    """The state of one configuration on one hardware."""
    if not configuration["current"] or configuration["stale"]:
        return "stale"
    if configuration["status"] == "ok":
        return "timed" if configuration["timed"] else "ok"
    return "failed" if configuration["status"] in FAILURES else "refused"


def _matrix(
    info: SuiteInfo, scale: str, base: str, sections: Sequence[Mapping[str, Any]], registry: Registry
) -> Matrix:
    hardware = [section["hardware"] for section in sections]
    best: dict[tuple[str, str, str], str] = {}
    order = list(STATES)
    for section in sections:
        for each in section["configurations"]:
            key = each["method"], each["point"], section["hardware"]
            best[key] = min(best.get(key, "never"), state_of(each), key=order.index)
    known = registry.methods_of(info.slug)
    slugs = [*known, *sorted({slug for slug, _, _ in best} - known.keys())]
    points = list(dict.fromkeys([*info.points, *sorted({point for _, point, _ in best})]))

    def cell(slug: str, point: str) -> Cell:
        states = [best.get((slug, point, each), "never") for each in hardware]
        return Cell(states if _is_for(info, registry, slug, point) else [])

    kinds = {slug: known[slug].card.kind if slug in known else "gone" for slug in slugs}
    rows = [(slug, kinds[slug], [cell(slug, point) for point in points]) for slug in slugs]
    sums = {}
    for column, point in enumerate(points):
        scores, timed = distinct(sections, point)
        states = Counter(state for _, _, cells in rows for state in cells[column].states)
        sums[point] = {"scores": scores, "speeds": timed, **{state: states[state] for state in STATES}}
    sums["all points"] = {name: sum(each[name] for each in sums.values()) for name in ("scores", "speeds", *STATES)}
    return Matrix(file_name(f"{base} {scale}"), scale, base, hardware, points, rows, sums)


def _is_for(info: SuiteInfo, registry: Registry, slug: str, point: str) -> bool:
    listed = registry.methods.get((info.slug, slug))
    return listed is None or point not in info.points or listed.is_for(info.problem_of(point).name)
