"""A suite in one table: a line for each operating point and base. Hardware switches times only, so it is no line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bench.publish.coverage import distinct
from bench.registry import SuiteInfo


@dataclass(frozen=True)
class PointLine:
    """An operating point on one base and scale. address: of its board. boards: each hardware, and the board
    with the times of that. section: of the chief
    one, which has most results. best: who is first there. results, timed: counted once, on whatever hardware they
    ran."""

    point: str
    title: str
    base: str
    scale: str
    section: str
    best: Sequence[str]
    results: int
    timed: int
    without: int
    address: str
    boards: Sequence[tuple[str, str]]
    newest: float


def lines_of(info: SuiteInfo, sections: Sequence[Mapping[str, Any]]) -> list[PointLine]:
    """In the order of the suite's bases and points. sections: the suite's, as `build_section` tells of them."""
    places: dict[tuple[str, str, str], list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for section in sections:
        for point in section["points"]:
            places.setdefault((section["scale"], section["base"], point["point"]), []).append((section, point))
    bases = list(dict.fromkeys((section["scale"], section["base"]) for section in sections))
    order = {name: i for i, name in enumerate(info.points)}
    keys = sorted(places, key=lambda key: (bases.index(key[:2]), order.get(key[2], len(order)), key[2]))
    return [_line(places[key]) for key in keys]


def _line(found: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> PointLine:
    found = sorted(found, key=lambda each: (-each[1]["ok"], -len(each[0]["timed"])))
    section, point = found[0]
    results, timed = distinct([s for s, _ in found], point["point"])
    return PointLine(
        point["point"], point["title"], section["base"], section["scale"], section["address"], point["best"], results,
        timed, max(p["rows"] - p["ok"] for _, p in found), point["address"], _on_each(found),
        max(s["newest"] for s, _ in found),
    )  # fmt: skip


def _on_each(found: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[tuple[str, str]]:
    timed = {
        s["hardware"]: f"{p['address']}#on={quote(s['hardware'])}"
        for s, p in found
        if any(key.startswith(f"{p['point']}/") for key in s["timed"])
    }
    return list(timed.items())
