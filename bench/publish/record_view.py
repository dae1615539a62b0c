"""The page of one configuration: its newest record of every seed in full, and the history of the older ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analyse.rows import Board, Row
from bench.analyse.summary import figure, row_costs, row_quality, uneven
from bench.publish.catalogue import Entry
from bench.publish.format import number, quantity
from bench.publish.freshness import Age
from bench.publish.history import Series, series_of
from bench.publish.paths import record_address
from bench.publish.samples_view import Strip, strip
from bench.publish.table_view import Cell, make_cell
from bench.record.plain import is_one_command
from bench.record.schema import Record, Throughput
from bench.registry import ProblemInfo
from bench.registry.metrics import Metric

LOG, HISTORY = 8000, 300
"""Most characters of a log and most older records that a page shows; all of them are in the downloads."""

_DETAILS = (".p90", ".p99", ".device")


@dataclass(frozen=True)
class Tried:
    """The search for the best batch of one workload: (side, batch, per second, peak, what came of it) a line."""

    workload: str
    unit: str
    limit: str
    lines: Sequence[tuple[str, int, str, str, str]]


@dataclass(frozen=True)
class RecordView:
    """A record in full. environment: facts in order, of the device before and after. strips: its samples as pictures.
    counts: of each timed phase. tried: of each workload, the batch sizes and what they gave. log: its end. pasteable:
    whether its command is one that may be pasted.
    """

    record: Record
    age: Age
    environment: Sequence[tuple[str, str]]
    device: Sequence[tuple[str, str, str]]
    strips: Sequence[Strip]
    counts: Sequence[Mapping[str, str]]
    tried: Sequence[Tried]
    log: str
    log_cut: int
    file: str
    pasteable: bool


@dataclass(frozen=True)
class PastView:
    """An older record: when, and what it said. current: it is one of those in full above."""

    entry: Entry
    cells: Sequence[Cell]
    current: bool


@dataclass(frozen=True)
class ConfigurationView:
    """What the template shows. figures: (title, cell) of the row. missing: what the problem knows and the row has not.
    records: of this hardware. elsewhere: (seed, hardware, page) of the seeds whose scores in the row are of another.
    left_out: older records that are not listed."""

    board: Board
    method: str
    variant: str
    figures: Sequence[tuple[str, Cell]]
    missing: Sequence[str]
    records: Sequence[RecordView]
    elsewhere: Sequence[tuple[int, str, str]]
    columns: Sequence[Metric]
    past: Sequence[PastView]
    left_out: int
    series: Sequence[Series]


def make_configuration(
    board: Board,
    row: Row | None,
    entries: Sequence[Entry],
    problem: ProblemInfo,
    files: Mapping[str, str],
    own: Sequence[tuple[Record, Age]],
) -> ConfigurationView:
    """The view of one configuration. board: of its records, whose version may be any; row: its current row, None if it
    has none. entries: all its records, oldest first.

    files: where each record stands, by its id. own: the current records of this hardware, by seed.
    """
    first = entries[0]
    current = {record.id for record, _ in own}
    columns = [metric for metric in problem.primaries if any(metric.name in entry.figures for entry in entries)]
    newest_first = entries[::-1]
    past = [
        PastView(entry, [make_cell(entry.figure(m.name), m) for m in columns], entry.id in current)
        for entry in newest_first[:HISTORY]
    ]
    known = problem.metrics
    figures = _figures(row, known) if row else {}
    return ConfigurationView(
        row.board if row else board, first.method, first.variant,
        [(known[name].title if name in known else name, cell) for name, cell in figures.items()],
        [*_missing(figures, known), *_left_out(row)] if row and row.ok else [],
        [_record(record, files[record.id], age) for record, age in own], _elsewhere(row, board) if row else [],
        columns, past, max(0, len(entries) - HISTORY), series_of(entries, columns),
    )  # fmt: skip


def _elsewhere(row: Row, board: Board) -> list[tuple[int, str, str]]:
    found = [(record.seed, record.environment.hardware) for record in row.elsewhere]
    return [
        (seed, hardware, record_address(replace(board, hardware=hardware), row.method, row.variant))
        for seed, hardware in found
    ]


def _missing(figures: Collection[str], known: Mapping[str, Metric]) -> list[str]:
    """Titles of what the problem knows and the row has not; of a time that is missing not each of its details."""
    return [m.title for name, m in known.items() if name not in figures and not name.endswith(_DETAILS)]


def _left_out(row: Row) -> list[str]:
    """Throughputs that were measured and can't be compared, with the reason."""
    reasons = {
        f"{workload}.throughput: {reason}"
        for record in row.ok
        for workload, best in record.throughput.items()
        if (reason := uneven(best))
    }
    return sorted(reasons)


def _figures(row: Row, known: Mapping[str, Metric]) -> dict[str, Cell]:
    """Every score and cost that the row has, by name, those of the problem first."""
    scores, costs = row_quality(row), row_costs(row)
    names = [name for name in known if name in scores or name in costs]
    names += [name for name in [*scores, *costs] if name not in known]
    return {name: _cell(row, known.get(name, Metric(name, name))) for name in names}


def _cell(row: Row, metric: Metric) -> Cell:
    return make_cell(figure(row, metric), metric)


def _record(record: Record, place: str, age: Age) -> RecordView:
    log = record.log[-LOG:]
    tried = [_tried(name, throughput) for name, throughput in record.throughput.items()]
    return RecordView(
        record, age, _environment(record), _device(record), _strips(record), _counts(record), tried, log,
        len(record.log) - len(log), place, is_one_command(record.command),
    )  # fmt: skip


def _environment(record: Record) -> list[tuple[str, str]]:
    """Every fact of the environment, but for the device's, of any schema that has more of them than this code knows."""
    facts: list[tuple[str, str]] = []
    for name, value in record.environment:
        if name in ("device", "device_after"):
            continue
        if isinstance(value, Mapping):
            facts += [(f"{name.replace('_', ' ')}: {key}", str(each)) for key, each in value.items()]
        elif value is not None:
            facts.append((name.replace("_", " "), _bytes(value) if name.endswith("_bytes") else str(value)))
    return facts


def _device(record: Record) -> list[tuple[str, str, str]]:
    """Facts of the device: name, before the run, after it; a dash where it was not read."""
    before, after = record.environment.device, record.environment.device_after
    return [(name.replace("_", " "), before.get(name, "–"), after.get(name, "–")) for name in {**before, **after}]


def _counts(record: Record) -> list[dict[str, str]]:
    """How each phase was timed: what was kept, what was thrown away, and whether the interval became narrow enough."""
    return [
        {
            "phase": f"{workload}: {phase}", "pairs": str(len(t.candidate)), "warm-up": str(t.warm_up),
            "dropped": str(t.dropped), "converged": "yes" if t.converged else "no, the time was up",
            "units a sample": f"{number(t.units)} {t.unit}", "waited": _percent(t.waited),
            "cores": "not measured" if t.cores is None else number(t.cores),
            "FLOPs": "not counted" if t.flops is None else quantity(t.flops, "FLOP"),
            "least bytes": "not counted" if t.bytes is None else quantity(t.bytes, "B"),
            "runs as": ", ".join(filter(None, [
                "CUDA graph" if t.graph else "plain calls", "" if t.realised else "saving not realised",
            ])),
        }
        for workload, phases in record.timings.items() for phase, t in phases.items()
    ]  # fmt: skip


def _tried(workload: str, best: Throughput) -> Tried:
    sides = (
        ("this method", best.candidate_tried, best.candidate_batch),
        ("baseline", best.baseline_tried, best.baseline_batch),
    )
    lines = [
        (side, b.batch, "–" if b.per_second is None else f"{number(b.per_second)} {best.unit}/s", _bytes(b.peak_bytes),
         b.reason or ("best" if b.batch == chosen else ""))
        for side, tried, chosen in sides for b in tried
    ]  # fmt: skip
    return Tried(workload, best.unit, quantity(best.memory_limit_bytes, "B"), lines)


def _bytes(value: float | None) -> str:
    return "–" if value is None else quantity(value, "B")


def _percent(share: float) -> str:
    return f"{number(100 * share, 2)}\N{NO-BREAK SPACE}%"


def _strips(record: Record) -> list[Strip]:
    found = [strip(name, [("candidate", samples.samples)], "") for name, samples in record.quality.items()]
    for workload, phases in record.timings.items():
        for phase, timing in phases.items():
            title = f"{workload}: {phase}"
            found.append(strip(title, _both(timing), "s"))
            if timing.device_candidate and timing.device_baseline:
                series = [("candidate", timing.device_candidate), ("baseline", timing.device_baseline)]
                found.append(strip(f"{title}, device's clock", series, "s"))
    found += [
        strip(f"{name}: time at the best batch, per {x.unit}", _both(x), "s") for name, x in record.throughput.items()
    ]
    found += [strip(f"{name}: energy per {x.unit}, {x.source}", _both(x), "J") for name, x in record.energy.items()]
    return [each for each in found if each is not None]


def _both(timed: object) -> list[tuple[str, Sequence[float]]]:
    return [(side, getattr(timed, side)) for side in ("candidate", "baseline")]
