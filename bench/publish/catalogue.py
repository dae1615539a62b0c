"""All records in brief: enough to choose and list them without reading their samples again.

Files of records are only appended to, so what was read once is kept in a cache and the next build begins where the last
one ended.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from bench.analyse.rows import Board
from bench.analyse.summary import MISSING, Cost, some_figures
from bench.publish import kept, parquet
from bench.publish.paths import file_name
from bench.publish.workers import each
from bench.record.schema import Record
from bench.record.store import Place, files, read_at, read_lines

REASON = 300
"""Longest reason, in characters, that a list shows."""


_PLACE = 3
"""Fields of an entry that say where it stands."""
_PART = 1 << 20
MEGABYTES_TO_SHARE = 10
"""More than this is read by several processes."""


class Entry(NamedTuple):
    """A record in brief. started: seconds since 1970. figures: its primary score and costs, by name."""

    file: str
    offset: int
    length: int
    id: str
    suite: str
    suite_version: str
    hardware: str
    scale: str
    base: str
    point: str
    method: str
    variant: str
    seed: int
    status: str
    reason: str
    started: float
    seconds: float
    commit: str
    dirty: bool
    versions: str
    command: str
    figures: Mapping[str, Sequence[Any]]

    @property
    def board(self) -> Board:
        """The ranking that it belongs to."""
        return Board(self.suite, self.suite_version, self.hardware, self.scale, self.base, self.point)

    @property
    def identity(self) -> tuple[Any, ...]:
        """What tells it from any other record, and from one that was put in its place."""
        return self.id, self.file, self.offset, self.length, self.figures

    def figure(self, name: str) -> Cost:
        """One of its figures."""
        return Cost(*self.figures[name]) if name in self.figures else MISSING

    def load(self) -> Record:
        """The whole record."""
        return read_at(Path(self.file), self.offset, self.length)


@dataclass(frozen=True)
class Catalogue:
    """Entries oldest first; what could not be read, as text; downloads: address below the site's root, records."""

    entries: Sequence[Entry]
    broken: Sequence[str]
    downloads: Sequence[tuple[str, int]]


def read_catalogue(folders: Sequence[Path], output: Path, wanted: Mapping[str, Sequence[str]], code: str) -> Catalogue:
    """Read all records under the folders and write each file of them as Parquet into the output.

    wanted: names of the primary score and costs of each suite; of a suite that is not there, the first score. code: a
    text that changes when what is cached would.
    """
    found = [(folder, path) for folder in folders for path in files(folder)]
    found.sort(key=lambda pair: -(kept.size(pair[1]) or 0))  # the longest first, so that all cores end together
    jobs = [(folder, path, output, _download(folders, folder, path), wanted, code) for folder, path in found]
    heavy = sum(kept.size(path) or 0 for _, path in found) > MEGABYTES_TO_SHARE * 1e6
    entries: list[Entry] = []
    broken: list[tuple[str, str]] = []
    downloads: dict[str, int] = {}
    for read, problems, address in each(_read_file, jobs, heavy):
        entries += read
        broken += [(text, line) for text, line in problems]
        if read:
            downloads[address] = len(read)
    entries.sort(key=lambda entry: (entry.started, entry.id, entry.file, entry.offset))
    told = {line: text for text, line in sorted(broken, reverse=True)}
    return Catalogue(_once(entries), sorted(told.values()), sorted(downloads.items()))


def _once(entries: Sequence[Entry]) -> list[Entry]:
    """Without copies of records."""
    seen: dict[str, list[Entry]] = {}
    for entry in entries:
        alike = seen.setdefault(entry.id, [])
        if not any(_same(entry, other) for other in alike):
            alike.append(entry)
    return sorted(chain(*seen.values()), key=lambda entry: (entry.started, entry.id))


def _same(one: Entry, other: Entry) -> bool:
    """Wherever they stand."""
    return one[_PLACE:] == other[_PLACE:]


def _download(folders: Sequence[Path], folder: Path, path: Path) -> str:
    """Address of the file as Parquet; with more than one folder of records, below the folder's number."""
    place = path.relative_to(folder).with_suffix("")
    number = [str(1 + folders.index(folder))] if len(folders) > 1 else []
    return "data/records/" + "/".join([*number, *map(file_name, place.parts)]) + ".parquet"


def _read_file(
    folder: Path, path: Path, output: Path, address: str, wanted: Mapping[str, Sequence[str]], code: str
) -> tuple[list[Entry], list[list[str]], str]:
    """Its records, its broken lines with a digest of each, and the address of its table."""
    inside = path.relative_to(folder)  # what the pages name: no path of this machine
    cache = output / kept.FOLDER / f"{hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]}.json"
    table = output / address
    known = _cached(cache, path, table, code)
    start, number = (known["end"], known["number"]) if known else (0, 1)
    entries = [Entry(*values) for values in known["entries"]] if known else []
    broken: list[list[str]] = list(known["broken"]) if known else []
    unfinished: list[list[str]] = []
    fresh: list[Record] = []
    for place, found in read_lines(path, start, number):
        brief = _brief(found, path, place, wanted) if isinstance(found, Record) else found.reason
        if isinstance(found, Record) and isinstance(brief, Entry):
            entries.append(brief)
            fresh.append(found)
        elif isinstance(brief, str):
            line = found.id if isinstance(found, Record) else found.digest
            (broken if place.whole else unfinished).append([f"{inside}:{place.number}: {brief}", line])
        if place.whole or isinstance(brief, Entry):  # else it is read again: it may still be being written
            start, number = place.end, place.number + 1
    if fresh or known is None:
        misfits = parquet.write(fresh, table, keep=known is not None)
        broken += [
            [f"{inside}: record {record.id} does not fit into Parquet, it is on the pages alone", record.id]
            for record in misfits
        ]
        read = {"code": code, "end": start, "number": number, "before": _before(path, start)}
        kept.write(cache, read | {"broken": broken, "entries": entries, "table": kept.digest(table)})
    return entries, broken + unfinished, address


def _cached(cache: Path, path: Path, table: Path, code: str) -> dict[str, Any] | None:
    """What the last build read of the file, unless that, the table that was made of it, or the code that read it has
    changed since."""
    known: dict[str, Any] | None = kept.read(cache)
    if known is None or known["code"] != code or known["before"] != _before(path, known["end"]):
        return None
    return known if known["table"] == kept.digest(table) else None


def _before(path: Path, end: int) -> str | None:
    """A hash of all bytes before `end`, which nobody rewrites; None where the file can't be read."""
    found = hashlib.sha256()
    if end == 0:
        return found.hexdigest()
    try:
        with path.open("rb") as file:
            while end > 0 and (part := file.read(min(end, _PART))):
                found.update(part)
                end -= len(part)
    except OSError:
        return None
    return found.hexdigest() if end == 0 else None


def _brief(record: Record, path: Path, place: Place, wanted: Mapping[str, Sequence[str]]) -> Entry | str:
    """The record in brief, or why nothing can be said of it."""
    names = wanted.get(record.suite) or list(record.quality)[:1]
    try:
        figures = {name: tuple(vars(cost).values()) for name, cost in some_figures(record, names).items()}
    except (ValueError, ArithmeticError) as error:
        return f"its figures can't be computed: {error}"
    reason = record.reason or ("" if record.status == "ok" else "no reason recorded")
    return Entry(
        str(path), place.offset, place.length, record.id, record.suite, record.suite_version, record.hardware,
        record.scale, record.base, record.point, record.method, record.variant, record.seed, record.status,
        reason[:REASON], record.started.timestamp(), record.seconds, record.environment.commit or "",
        bool(record.environment.dirty),
        ", ".join(f"{name} {version}" for name, version in record.environment.versions.items()),
        record.command, figures,
    )  # fmt: skip
