"""How figures moved from record to record: changes worth telling, and series to draw."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.compare import MARGIN, cost_change
from bench.analyse.rows import Board
from bench.analyse.summary import Cost
from bench.contract import Metric
from bench.publish.catalogue import Entry
from bench.publish.format import percent, quantity
from bench.publish.paths import record_address

RUN_TO_RUN = 0.05
"""A measured cost must move by more than this, beyond both intervals: what differs between two processes, such as where
their memory lies, is in neither interval."""
DAY = 86_400.0


@dataclass(frozen=True)
class Change:
    """One figure (or the status) of a configuration that is not what it was. when: seconds since 1970.

    kind: "worse", "better", "broke" (it was ok), "mended" (it was not), "new" (its first record).
    """

    when: float
    kind: str
    suite: str
    hardware: str
    scale: str
    point: str
    name: str
    what: str
    before: str
    after: str
    change: str
    commits: tuple[str, str]
    versions: tuple[str, str]
    address: str


@dataclass(frozen=True)
class Series:
    """A figure over time as a small picture: path of the values, band of the intervals; first and last as text."""

    title: str
    path: str
    band: str
    first: str
    last: str
    n: int
    width: int = 320
    height: int = 72


def changes_of(entries: Sequence[Entry], metrics: Sequence[Metric]) -> list[Change]:
    """What changed along the records of one configuration, oldest first; metrics: its primary score and costs.

    Each record is held against the one before it with the same seed. A score is of the same items, so any difference
    beyond MARGIN is real; of a cost both intervals must agree to it, and see RUN_TO_RUN. What several seeds say in one
    move from commit to commit counts once. Another version of the suite begins anew.
    """
    last: dict[tuple[str, int], Entry] = {}
    found: dict[tuple[str, str, str, str], Change] = {}
    if entries and len({entry.suite_version for entry in entries}) == 1:
        found["new", "", "", ""] = _change(entries[0], None, "new", "first record", "", entries[0].status, "")
    for entry in entries:
        before = last.get((entry.suite_version, entry.seed))
        last[entry.suite_version, entry.seed] = entry
        if before is None:
            continue
        for change in _between(before, entry, metrics):
            found.setdefault((change.kind, change.what, *change.commits), change)
    return list(found.values())


def _between(before: Entry, entry: Entry, metrics: Sequence[Metric]) -> Iterable[Change]:
    if (before.status == "ok") != (entry.status == "ok"):
        kind = "mended" if entry.status == "ok" else "broke"
        yield _change(entry, before, kind, "status", before.status, entry.status, entry.reason or before.reason)
        return
    for metric in metrics:
        old, new = before.figure(metric.name), entry.figure(metric.name)
        move = _move(old, new, is_score=not old.unit and metric is metrics[0])
        if move is not None:
            unit = metric.unit or new.unit
            kind = "better" if (move < 0) == (metric.better == "lower") else "worse"
            values = quantity(old.value, unit), quantity(new.value, unit)
            yield _change(entry, before, kind, metric.title, *values, percent(move))


def _move(old: Cost, new: Cost, is_score: bool) -> float | None:
    """The relative change, if it is beyond what may be chance."""
    if old.value is None or new.value is None or old.value == new.value:
        return None
    if is_score or (old.kind == new.kind == "exact"):
        level = abs(old.value)
        move = (new.value - old.value) / level if level and math.isfinite(level) else math.nan
        return move if abs(move) > MARGIN else None
    change = cost_change(new, old)
    if change is None or not (change.low > RUN_TO_RUN or change.high < -RUN_TO_RUN):
        return None
    return change.value


def _change(entry: Entry, before: Entry | None, kind: str, what: str, old: str, new: str, change: str) -> Change:
    name = entry.method if entry.variant == "default" else f"{entry.method}:{entry.variant}"
    commits = (before.commit[:12] if before else "", entry.commit[:12])
    versions = ("", "") if before is None or before.versions == entry.versions else _differing(before, entry)
    return Change(
        entry.started, kind, entry.suite, entry.hardware, entry.scale, entry.point, name, what, old, new, change,
        commits, versions, record_address(entry.board, entry.method, entry.variant),
    )  # fmt: skip


def _differing(before: Entry, entry: Entry) -> tuple[str, str]:
    old, new = (dict(part.split(" ", 1) for part in e.versions.split(", ") if " " in part) for e in (before, entry))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return tuple(", ".join(f"{name} {of.get(name, 'absent')}" for name in names) for of in (old, new))  # type: ignore[return-value]


def series_of(entries: Sequence[Entry], metrics: Sequence[Metric]) -> list[Series]:
    """Each metric over time, where there are two records or more that have it."""
    found = []
    for metric in metrics:
        points = [(entry.started, entry.figure(metric.name)) for entry in entries if metric.name in entry.figures]
        points = [(when, cost) for when, cost in points if cost.value is not None and math.isfinite(cost.value)]
        if len(points) > 1:
            found.append(_series(metric, points))
    return found


def _series(metric: Metric, points: Sequence[tuple[float, Cost]]) -> Series:
    values = [cost.value or 0.0 for _, cost in points]
    ends = [
        (c.low, c.high) if math.isfinite(c.low + c.high) else (v, v) for (_, c), v in zip(points, values, strict=True)
    ]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    start, stop = points[0][0], points[-1][0]
    drawn = Series(metric.title, "", "", "", "", len(points))

    def x(when: float) -> int:
        return round(4 + (when - start) / ((stop - start) or 1.0) * (drawn.width - 8))

    def y(value: float) -> int:
        return round(drawn.height - 4 - (value - low) / ((high - low) or 1.0) * (drawn.height - 8))

    unit = metric.unit or points[0][1].unit
    return Series(
        metric.title,
        "".join(f"M{x(when)} {y(v)}h0" for (when, _), v in zip(points, values, strict=True)),
        "".join(f"M{x(when)} {y(a)}V{y(b)}" for (when, _), (a, b) in zip(points, ends, strict=True) if a < b),
        quantity(values[0], unit), quantity(values[-1], unit), len(points),
    )  # fmt: skip


def since(changes: Iterable[Change], newest: float, days: float) -> list[Change]:
    """Changes of the last days before the newest record: the same records give the same page on any day."""
    return [change for change in changes if change.when > newest - days * DAY]


def by_configuration(entries: Iterable[Entry]) -> Mapping[tuple[Board, str, str], list[Entry]]:
    """Entries of each configuration, whatever the suite's version, in the order given. The board's version is "*"."""
    groups: dict[tuple[Board, str, str], list[Entry]] = defaultdict(list)
    for e in entries:
        groups[Board(e.suite, "*", e.hardware, e.scale, e.base, e.point), e.method, e.variant].append(e)
    return groups
