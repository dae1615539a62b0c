"""The rows of a section as they count on each hardware: the same scores on all, each with its own times, and how old
both are."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.analyse.elsewhere import beside, scoring, timing
from bench.analyse.rows import Row, make_rows
from bench.analyse.summary import row_costs, row_quality
from bench.publish.catalogue import Entry
from bench.publish.context import Section
from bench.publish.freshness import Age
from bench.record.schema import Record

Configuration = tuple[str, str, str]
"""Point, method, variant."""


@dataclass(frozen=True, eq=False)
class Aged:
    """A row on one hardware. stale: what is not today's in its scores, stale_times: in its times there."""

    row: Row
    stale: Sequence[str]
    stale_times: Sequence[str]

    @property
    def all_stale(self) -> list[str]:
        return list(dict.fromkeys([*self.stale, *self.stale_times]))


@dataclass(frozen=True)
class SectionRows:
    """on: the rows of each hardware, by its name. own: of each hardware and configuration what ran there itself, by
    seed, with its age. problems: what could not be made of the records."""

    on: dict[str, list[Aged]] = field(default_factory=dict)
    own: dict[tuple[str, Configuration], dict[int, tuple[Record, Age]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def rows_of(section: Section) -> SectionRows:
    """Rows of the newest record of each seed on each hardware under the suite's newest version."""
    newest: dict[tuple[str, Configuration, int], Entry] = {
        (e.hardware, (e.point, e.method, e.variant), e.seed): e
        for e in section.entries
        if e.suite_version == section.version
    }
    found = SectionRows({hardware: [] for hardware in sorted({hardware for hardware, _, _ in newest})})
    runs: dict[tuple[str, Configuration], dict[str, dict[int, tuple[Record, Age]]]] = defaultdict(dict)
    at: dict[str, set[str]] = defaultdict(set)
    for (hardware, configuration, seed), entry in newest.items():
        record = entry.load()
        own = found.own.setdefault((hardware, configuration), {})
        own[seed] = record, section.context.freshness.of(record)
        alone = hardware if section.is_clocked(entry.point) else ""
        runs[alone, configuration][hardware] = own
        at[entry.point].add(hardware)
    for (alone, configuration), by_hardware in runs.items():
        for aged in _on_each(section, by_hardware, [alone] if alone else sorted(at[configuration[0]])):
            problem = _problem(aged.row)
            if problem:
                found.problems.append(problem)
            else:
                found.on[aged.row.board.hardware].append(aged)
    for rows in found.on.values():
        rows.sort(key=lambda each: (each.row.board, each.row.method, each.row.variant))
    return found


def _on_each(
    section: Section, runs: Mapping[str, Mapping[int, tuple[Record, Age]]], hardware: Sequence[str]
) -> list[Aged]:
    """The row of one configuration on each of these. runs: by hardware and seed."""
    ages = {id(record): age for own in runs.values() for record, age in own.values()}
    records = [record for own in runs.values() for record, _ in own.values()]
    scored = scoring(records, lambda record: bool(ages[id(record)].stale))
    stale = _reasons(ages[id(record)] for record in scored)
    found = []
    for name in hardware:
        own = {seed: record for seed, (record, _) in runs.get(name, {}).items()}
        times = [timing(record, own) for record in scored]
        here = [beside(record, timed, name, section.info) for record, timed in zip(scored, times, strict=True)]
        (row,) = make_rows(here)
        old = _reasons(ages[id(timed)] for timed in times if timed is not None and timed.timings)
        found.append(Aged(row, stale, old))
    return found


def _reasons(ages: Iterable[Age]) -> list[str]:
    return list(dict.fromkeys(reason for age in ages for reason in age.stale))


def _problem(row: Row) -> str:
    """Why no figures can be made of the row; empty if they can."""
    try:
        row_quality(row)
        row_costs(row)
    except (ValueError, ArithmeticError) as error:
        return f"{row.name} at {row.board.point}: its figures can't be computed: {error}"
    return ""
