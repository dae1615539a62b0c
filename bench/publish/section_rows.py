"""The rows of a section: the newest record of each seed, with what other hardware lends, and how old each is."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analyse.elsewhere import agreeing, filled, scores_alone, seeds_elsewhere
from bench.analyse.rows import Row, make_rows
from bench.analyse.summary import row_costs, row_quality
from bench.publish.catalogue import Entry
from bench.publish.context import Section
from bench.publish.freshness import Age
from bench.record.schema import Record


@dataclass(frozen=True, eq=False)
class Aged:
    """A row with the age of each of its records."""

    row: Row
    ages: tuple[Age, ...]

    @property
    def stale(self) -> list[str]:
        """What is not today's in any of them."""
        return list(dict.fromkeys(reason for age in self.ages for reason in age.stale))


def rows_of(section: Section) -> tuple[list[Aged], list[str]]:
    """Rows of the newest record of each seed under the suite's newest version, and what could not be made of them."""
    newest = {(e.point, e.method, e.variant, e.seed): e for e in section.entries if e.suite_version == section.version}
    own: list[Record] = [entry.load() for entry in newest.values()]
    rows, problems = [], []
    for row in make_rows(filled(own, _lent(section, own))):
        try:
            row_quality(row)
            row_costs(row)
        except (ValueError, ArithmeticError) as error:
            problems.append(f"{row.name} at {row.board.point}: its figures can't be computed: {error}")
        else:
            rows.append(Aged(row, tuple(map(section.context.freshness.of, row.records))))
    return rows, problems


def _lent(section: Section, own: Sequence[Record]) -> list[Record]:
    """What other hardware lends, none of it stale. A stale record of this hardware yields to it, unless it is timed."""
    theirs: list[Entry] = [entry for entry in section.others if entry.suite_version == section.version]
    if not theirs:
        return []
    kept = [record for record in own if record.timings or not _is_stale(section, record)]
    points = {record.point for record in own}
    found = [entry.load() for entry in seeds_elsewhere(points, kept, theirs, section.info)]
    fresh = agreeing(kept, [record for record in found if not _is_stale(section, record)])
    return [scores_alone(record, section.place.hardware, section.info) for record in fresh]


def _is_stale(section: Section, record: Record) -> bool:
    return bool(section.context.freshness.of(record).stale)
