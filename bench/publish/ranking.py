"""One board on all hardware: ranks and scores are the same on each, what is timed is each's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.analyse.elsewhere import of_hardware
from bench.analyse.rows import Board, Row
from bench.publish.table_view import Cell, Line, Table
from bench.registry.metrics import Metric


@dataclass(frozen=True)
class Side:
    """What of a board hangs on one hardware. number: of the hardware in its section, from 1; the style sheet goes by
    it. chief, extra: the columns of it that are always shown, and the others. old: names of the lines whose times are
    not of today's code."""

    number: int
    hardware: str
    table: Table
    chief: Sequence[Metric]
    extra: Sequence[Metric]
    old: frozenset[str]

    def cell(self, line: Line, metric: Metric) -> Cell:
        """A figure of the board's line here."""
        return self._lines[line.name].cells[self._columns[metric.name]]

    def of(self, line: Line, metric: Metric) -> Cell | None:
        """The same of a metric that may not be here."""
        return self.cell(line, metric) if metric.name in self._columns else None

    def unbeaten(self, line: Line) -> Sequence[str]:
        """Controls that the line does not beat, with the times of here."""
        return self._lines[line.name].unbeaten

    @cached_property
    def _lines(self) -> Mapping[str, Line]:
        return {line.name: line for line in self.table.lines}

    @cached_property
    def _columns(self) -> Mapping[str, int]:
        return {metric.name: i for i, metric in enumerate(self.table.columns)}


@dataclass(frozen=True)
class Ranking:
    """board: as its page has it. tables: on each hardware that ran something there, the one with most times first, with
    the same lines in the same order. rows: on each, in that order. sides: in the order of the section's hardware.
    apart: names of the costs that hang on the hardware."""

    board: Board
    tables: Mapping[str, Table]
    rows: Mapping[str, Sequence[Row]]
    sides: Sequence[Side]
    apart: frozenset[str]

    @property
    def first(self) -> str:
        """The hardware with most times."""
        return next(iter(self.tables))

    @property
    def chief(self) -> Table:
        """The table there."""
        return self.tables[self.first]

    @property
    def shared(self) -> list[Metric]:
        """The columns of all hardware."""
        return [metric for metric in self.chief.columns if metric.name not in self.apart]

    def side(self, number: int) -> Side | None:
        """The hardware of this number, if anything ran there."""
        return next((side for side in self.sides if side.number == number), None)

    @property
    def alarms(self) -> list[str]:
        """What can't be right in it."""
        return list(dict.fromkeys(alarm for table in self.tables.values() for alarm in table.alarms))

    @property
    def timed(self) -> list[str]:
        """Names of the lines with a speed that is measured somewhere."""
        return list(dict.fromkeys(line.name for table in self.tables.values() for line in table.timed))


def make_ranking(
    board: Board,
    tables: Mapping[str, Table],
    rows: Mapping[str, Sequence[Row]],
    order: Sequence[str],
    old: Mapping[str, frozenset[str]],
) -> Ranking:
    """tables, rows: by hardware. order: of the section's hardware. old: on each hardware the lines with stale times."""
    ordered = sorted(tables, key=lambda name: (-len(tables[name].timed), order.index(name)))
    by_name = {name: {row.name: row for row in rows[name]} for name in ordered}
    apart = of_hardware([row for name in ordered for row in rows[name]])
    sides = []
    for number, name in enumerate(order, start=1):
        if name in tables:
            columns = [metric for metric in tables[name].columns if metric.name in apart]
            chief = [metric for metric in columns if metric.primary]
            extra = [metric for metric in columns if not metric.primary]
            sides.append(Side(number, name, tables[name], chief, extra, old.get(name, frozenset())))
    return Ranking(
        board,
        {name: tables[name] for name in ordered},
        {name: [by_name[name][line.name] for line in tables[name].lines] for name in ordered},
        sides,
        apart,
    )
