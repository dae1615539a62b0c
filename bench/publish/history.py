"""How figures moved from record to record: changes worth telling, and series to draw."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from bench.analyse.frontier import pareto
from bench.analyse.regressions import SENSITIVITY, Kind, Noise, Run, State, between_runs, step, timed, untimed
from bench.analyse.rows import Board
from bench.analyse.summary import Cost
from bench.measure.statistics import MIN_PAIRS, Estimate
from bench.publish.catalogue import Entry
from bench.publish.format import day, interval, percent, quantity
from bench.publish.paths import record_address
from bench.registry.metrics import Metric


@dataclass(frozen=True)
class Change:
    """One figure (or the status) of a configuration that is not what it was. when: seconds since 1970.

    kind: "worse", "better" (both confirmed by later runs), "suspected" (not confirmed yet), "broke" (it was ok),
    "mended" (it was not), "new" (its first record), "frontier" (it came to the frontier of its point's problem).
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


Followed = Mapping[tuple[str, str, int, int], Sequence[tuple[Run, Entry]]]
"""By metric, version of the suite, seed and number of items scored (others are another series): runs in order."""


def noises_of(followed: Iterable[Followed], scores: Collection[str]) -> dict[str, Noise]:
    """What each metric is judged with: its noise between runs, over all configurations that are measured alike.
    scores: names of the primary ones."""
    runs: dict[str, list[list[Run]]] = defaultdict(list)
    for each in followed:
        for (name, *_), series in each.items():
            runs[name].append([run for run, _ in series])
    kinds = {name: _kind(name, scores) for name in runs}
    watched = Counter(kind for name, kind in kinds.items() for _ in runs[name])
    return {n: Noise(kinds[n], between_runs(found, kinds[n]), watched[kinds[n]]) for n, found in runs.items()}


def changes_of(
    entries: Sequence[Entry], followed: Followed, metrics: Sequence[Metric], noises: Mapping[str, Noise]
) -> list[Change]:
    """What changed along the records of one configuration, oldest first. metrics: its primary score and costs, of which
    `followed` are the runs.

    Figures are followed seed by seed as `bench.analyse.regressions` does, for the nightly runs as for the site. What
    several seeds say in one move from commit to commit counts once. Another version of the suite begins anew.
    """
    found: dict[tuple[str, str, str, str], Change] = {}
    if entries and len({entry.suite_version for entry in entries}) == 1:
        found["new", "", "", ""] = _change(entries[0], None, "new", "first record", "", entries[0].status, "")
    told = [*_outages(entries), *_moves(followed, metrics, noises)]
    for change in sorted(told, key=lambda change: change.when):
        found.setdefault((change.kind, change.what, *change.commits), change)
    return list(found.values())


def frontier_moves(
    entries: Sequence[Entry], score: Metric, cost: Metric, known: Collection[str], address: str
) -> list[Change]:
    """Who came to the frontier of a score against a cost, record by record, and who left it for them.

    entries: of one board, under one version of its suite, oldest first; of each seed of a configuration the newest
    counts, and their mean. known: names of those that may stand on it. address: of the board. Scores are held against
    each other to three digits: less is rounding of another processor. What stood there on the first day is no move.
    """
    now: dict[str, dict[int, tuple[float, float]]] = {}
    standing: dict[str, tuple[float, float]] = {}
    began, found = "", []
    for entry in entries:
        name, taken, value = _name(entry), entry.figure(cost.name).value, entry.figure(score.name).value
        if name not in known or entry.status != "ok" or taken is None or value is None:
            continue
        place = taken, float(f"{value:.3g}")
        if not all(map(math.isfinite, place)) or now.get(name, {}).get(entry.seed) == place:
            continue
        began = began or day(entry.started)
        now.setdefault(name, {})[entry.seed] = place
        places = {n: (fmean(c for c, _ in of.values()), fmean(s for _, s in of.values())) for n, of in now.items()}
        kept = pareto(list(places.values()), cost.better, score.better)
        before, standing = standing, {n: at for (n, at), is_kept in zip(places.items(), kept, strict=True) if is_kept}
        came = name in standing and name not in before and standing[name] not in before.values()
        if came and day(entry.started) != began:
            left = sorted(before.keys() - standing.keys())
            what = f"on the frontier of {score.title} against {cost.title}"
            made = _change(entry, None, "frontier", what, "", "", f"in place of {', '.join(left)}" if left else "")
            found.append(replace(made, hardware="any", address=address))
    return found


def _outages(entries: Sequence[Entry]) -> Iterator[Change]:
    last: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        before = last.get((entry.suite_version, entry.seed))
        last[entry.suite_version, entry.seed] = entry
        if before is not None and (before.status == "ok") != (entry.status == "ok"):
            kind = "mended" if entry.status == "ok" else "broke"
            yield _change(entry, before, kind, "status", before.status, entry.status, entry.reason or before.reason)


def _moves(followed: Followed, metrics: Sequence[Metric], noises: Mapping[str, Noise]) -> Iterator[Change]:
    by_name = {metric.name: metric for metric in metrics}
    for (name, *_), series in followed.items():
        values = [run.value for run, _ in series]
        if max(values) - min(values) < SENSITIVITY[noises[name].kind].smallest:
            continue  # no two means of them can differ by enough
        state = State()
        for run, _ in series:
            state = step(state, run, noises[name])
            if state.verdict in ("worse", "better"):
                yield _move(series, run, state, state.verdict, by_name[name])
        if state.verdict == "suspected":
            yield _move(series, series[-1][0], state, "suspected", by_name[name])


def _move(series: Sequence[tuple[Run, Entry]], run: Run, state: State, kind: str, metric: Metric) -> Change:
    """A change of level as it is told: dated by the run that tells it, between the records that it lies between."""
    moved = state.change
    assert moved is not None
    first = next(i for i, (each, _) in enumerate(series) if each.when >= moved.since)
    entry, before = series[first][1], series[max(0, first - 1)][1]
    unit = metric.unit or entry.figure(metric.name).unit
    old, new = (quantity(_value(x, metric), unit) for x in (moved.level, moved.level + moved.change))
    sign = -1 if metric.better == "higher" else 1
    low, high = sorted(100 * math.expm1(sign * end) for end in (moved.low, moved.high))
    said = f"{percent(math.expm1(sign * moved.change))} {interval(low, high, None)}".strip()
    made = _change(entry, before, kind, metric.title, old, new, said)
    return replace(made, when=run.when)


def _value(logarithm: float, metric: Metric) -> float:
    return math.exp(-logarithm if metric.better == "higher" else logarithm)


def follow_figures(entries: Sequence[Entry], metrics: Sequence[Metric]) -> Followed:
    """The runs of every figure of one configuration; entries oldest first, metrics its primary score and costs."""
    found: dict[tuple[str, str, int, int], list[tuple[Run, Entry]]] = defaultdict(list)
    for entry in entries:
        if entry.status != "ok":
            continue
        for metric in metrics:
            cost, kind = entry.figure(metric.name), _kind(metric.name, [metrics[0].name])
            run = _run(entry.started, cost, kind, metric)
            if run is not None:
                items = cost.n if kind == "quality" else 0
                found[metric.name, entry.suite_version, entry.seed, items].append((run, entry))
    return found


def _kind(name: str, scores: Collection[str]) -> Kind:
    return "quality" if name in scores else "speed" if name.endswith(".ratio") else "exact"


def _run(when: float, cost: Cost, kind: Kind, metric: Metric) -> Run | None:
    """A figure as a run; None where there is none, or where one measurement has no interval."""
    if cost.value is None or math.isnan(cost.value) or cost.value <= 0:
        return None
    if kind == "speed":
        known = cost.kind == "measured" and cost.n >= MIN_PAIRS and cost.low > 0
        return timed(when, Estimate(cost.value, cost.low, cost.high, None, cost.n)) if known else None
    if kind == "exact" and cost.kind != "exact":
        return None
    return untimed(when, cost.value, metric.better)


def _change(entry: Entry, before: Entry | None, kind: str, what: str, old: str, new: str, change: str) -> Change:
    name = _name(entry)
    commits = (before.commit[:12] if before else "", entry.commit[:12])
    versions = ("", "") if before is None or before.versions == entry.versions else _differing(before, entry)
    return Change(
        entry.started, kind, entry.suite, entry.hardware, entry.scale, entry.point, name, what, old, new, change,
        commits, versions, record_address(entry.board, entry.method, entry.variant),
    )  # fmt: skip


def _name(entry: Entry) -> str:
    return entry.method if entry.variant == "default" else f"{entry.method}:{entry.variant}"


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


def by_configuration(entries: Iterable[Entry]) -> Mapping[tuple[Board, str, str], list[Entry]]:
    """Entries of each configuration, whatever the suite's version, in the order given. The board's version is "*"."""
    groups: dict[tuple[Board, str, str], list[Entry]] = defaultdict(list)
    for e in entries:
        groups[Board(e.suite, "*", e.hardware, e.scale, e.base, e.point), e.method, e.variant].append(e)
    return groups
