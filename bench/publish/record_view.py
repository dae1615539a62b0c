"""The page of one configuration: its newest record of every seed in full, and the history of the older ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.rows import Board, Row
from bench.analyse.summary import lookup, row_costs, row_quality
from bench.contract import Metric, SuiteInfo
from bench.publish.catalogue import Entry
from bench.publish.history import Series, series_of
from bench.publish.samples_view import Strip, strip
from bench.publish.table_view import Cell, make_cell
from bench.record.schema import Record, Timing

LOG, HISTORY = 8000, 300
"""Most characters of a log and most older records that a page shows; all of them are in the downloads."""


@dataclass(frozen=True)
class RecordView:
    """A record in full. environment: facts in order. strips: its samples as pictures. log: its end."""

    record: Record
    environment: Sequence[tuple[str, str]]
    strips: Sequence[Strip]
    log: str
    log_cut: int
    file: str


@dataclass(frozen=True)
class PastView:
    """An older record: when, and what it said. current: it is one of those in full above."""

    entry: Entry
    cells: Sequence[Cell]
    current: bool


@dataclass(frozen=True)
class ConfigurationView:
    """What the template shows. figures: (title, cell) of the row. left_out: older records that are not listed."""

    board: Board
    method: str
    variant: str
    figures: Sequence[tuple[str, Cell]]
    records: Sequence[RecordView]
    columns: Sequence[Metric]
    past: Sequence[PastView]
    left_out: int
    series: Sequence[Series]


def make_configuration(
    board: Board, row: Row | None, entries: Sequence[Entry], info: SuiteInfo, files: Mapping[str, str]
) -> ConfigurationView:
    """The view of one configuration. row: its current row, None if it has none. entries: all its records, oldest first.

    files: how each file of records is named on the page.
    """
    first = entries[0]
    current = {record.id for record in row.records} if row else set()
    columns = [info.primary, *(metric for metric in info.costs.values() if metric.primary)]
    columns = [metric for metric in columns if any(metric.name in entry.figures for entry in entries)]
    newest_first = entries[::-1]
    past = [
        PastView(entry, [make_cell(entry.figure(m.name), m) for m in columns], entry.id in current)
        for entry in newest_first[:HISTORY]
    ]
    places = {entry.id: f"{files[entry.file]}, from byte {entry.offset}" for entry in entries if entry.id in current}
    return ConfigurationView(
        board, first.method, first.variant, _figures(row, info) if row else [],
        [_record(record, places.get(record.id, "")) for record in row.records] if row else [],
        columns, past, max(0, len(entries) - HISTORY), series_of(entries, columns),
    )  # fmt: skip


def _figures(row: Row, info: SuiteInfo) -> list[tuple[str, Cell]]:
    scores, costs = row_quality(row), row_costs(row)
    known = {**info.scores, **info.costs}
    names = [name for name in known if name in scores or name in costs]
    names += [name for name in [*scores, *costs] if name not in known]
    metrics = [known.get(name, Metric(name, name)) for name in names]
    return [(metric.title, make_cell(lookup(scores, costs, metric.name), metric)) for metric in metrics]


def _record(record: Record, place: str) -> RecordView:
    log = record.log[-LOG:]
    return RecordView(record, _environment(record), _strips(record), log, len(record.log) - len(log), place)


def _environment(record: Record) -> list[tuple[str, str]]:
    """Every fact of the environment, of any schema that has more of them than this code knows."""
    facts: list[tuple[str, str]] = []
    for name, value in record.environment:
        if isinstance(value, Mapping):
            facts += [(f"{name.replace('_', ' ')}: {key}", str(each)) for key, each in value.items()]
        elif value is not None:
            facts.append((name.replace("_", " "), str(value)))
    return facts


def _strips(record: Record) -> list[Strip]:
    found = [strip(name, [("candidate", samples.samples)], "") for name, samples in record.quality.items()]
    for workload, phases in record.timings.items():
        for phase, timing in phases.items():
            title = f"{workload}: {phase}{_circumstances(timing)}"
            found.append(strip(title, _both(timing), "s"))
            if timing.device_candidate and timing.device_baseline:
                series = [("candidate", timing.device_candidate), ("baseline", timing.device_baseline)]
                found.append(strip(f"{title}, device's clock", series, "s"))
    found += [
        strip(f"{name}: time at the best batch, per {x.unit}", _both(x), "s") for name, x in record.throughput.items()
    ]
    found += [strip(f"{name}: energy per {x.unit}, {x.source}", _both(x), "J") for name, x in record.energy.items()]
    return [each for each in found if each is not None]


def _circumstances(timing: Timing) -> str:
    """What was thrown away and how it ran, where it is not the usual."""
    said = [f"{timing.warm_up} warm-up", f"{timing.dropped} throttled"] if timing.warm_up or timing.dropped else []
    said += ["CUDA graph"] if timing.graph else []
    said += [] if timing.converged else ["not converged"]
    return "".join(f", {each}" for each in said)


def _both(timed: object) -> list[tuple[str, Sequence[float]]]:
    return [(side, getattr(timed, side)) for side in ("candidate", "baseline")]
