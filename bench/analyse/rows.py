"""One row of the leaderboard: a method at an operating point, with all of its seeds."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bench.measure.statistics import MIN_SEEDS
from bench.record.schema import Record, Samples, Status


@dataclass(frozen=True, order=True)
class Board:
    """What must be equal for results to stand in one ranking."""

    suite: str
    suite_version: str
    hardware: str
    scale: str
    base: str
    point: str


@dataclass(frozen=True, eq=False)
class Row:
    """The newest record of every seed of one variant of a method on one board, by seed. Equal only to itself."""

    board: Board
    method: str
    variant: str
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        """The method's slug, with its variant where it is not the default."""
        return self.method if self.variant == "default" else f"{self.method}:{self.variant}"

    @property
    def ok(self) -> tuple[Record, ...]:
        """The records that count: those of status ok."""
        return tuple(record for record in self.records if record.status == "ok")

    @property
    def elsewhere(self) -> tuple[Record, ...]:
        """Those that other hardware ran: they count for scores alone, see bench.analyse.elsewhere."""
        return tuple(record for record in self.records if record.environment.hardware != self.board.hardware)

    @property
    def home(self) -> Board:
        """The board whose pages show its records in full: its own, unless all of them come from elsewhere."""
        if len(self.elsewhere) < len(self.records):
            return self.board
        return replace(self.board, hardware=self.records[0].environment.hardware)

    @property
    def failed(self) -> tuple[Record, ...]:
        """The other records; each has its reason."""
        return tuple(record for record in self.records if record.status != "ok")

    def scores(self, name: str) -> tuple[list[Samples], tuple[int, ...]]:
        """A score of every record that counts and has it, and their seeds."""
        having = [record for record in self.ok if name in record.quality]
        return [record.quality[name] for record in having], tuple(record.seed for record in having)

    @property
    def status(self) -> Status:
        """Status ok if any seed is ok (see `failed` for the others), else that of the newest record."""
        return "ok" if self.ok else max(self.records, key=lambda record: record.started).status


def make_rows(records: Iterable[Record]) -> list[Row]:
    """Group records into rows, sorted by board and name.

    Of each seed the newest record counts; seeds that ran with other hyper-parameters than the newest record of the
    row are left out, as their mean would describe no method.
    """
    groups: dict[tuple[Board, str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[board_of(record), record.method, record.variant].append(record)
    rows = []
    for (board, method, variant), group in groups.items():
        group.sort(key=lambda record: record.started)
        newest = {record.seed: record for record in group}
        same = [r for r in newest.values() if r.hyperparameters == group[-1].hyperparameters]
        rows.append(Row(board, method, variant, tuple(sorted(same, key=lambda record: record.seed))))
    return sorted(rows, key=lambda row: (row.board, row.method, row.variant))


def current(rows: Sequence[Row]) -> list[Row]:
    """The rows of each suite's newest version alone: results of two versions are never compared."""
    latest: dict[str, Record] = {}
    for row in rows:
        newest = max(row.records, key=lambda record: record.started)
        if row.board.suite not in latest or newest.started > latest[row.board.suite].started:
            latest[row.board.suite] = newest
    return [row for row in rows if row.board.suite_version == latest[row.board.suite].suite_version]


def by_board(rows: Iterable[Row]) -> dict[Board, list[Row]]:
    """Rows of each board, boards in order."""
    return {
        board: list(group)
        for board, group in groupby(sorted(rows, key=lambda row: (row.board, row.name)), key=lambda row: row.board)
    }


def common_seeds(mine: Sequence[int], theirs: Sequence[int]) -> tuple[int, ...] | None:
    """The seeds over which two rows are compared, seed by seed: those that both have, if they tell a spread or are all
    that there are; None: all of each are, side against side."""
    common = tuple(seed for seed in mine if seed in theirs)
    return common if len(common) >= MIN_SEEDS or tuple(mine) == tuple(theirs) else None


def few_seeds(row: Row, stochastic: Collection[str]) -> bool:
    """Whether the row's intervals lack the spread between its seeds: its method is one of these slugs, whose results
    hang on the seed, and fewer than MIN_SEEDS seeds succeeded."""
    return row.method in stochastic and 0 < len(row.ok) < MIN_SEEDS


def board_of(record: Record) -> Board:
    """The board that a record belongs to."""
    return Board(record.suite, record.suite_version, record.hardware, record.scale, record.base, record.point)
