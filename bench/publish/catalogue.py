"""All records in brief: enough to choose and list them without reading their samples again.

Files of records are only appended to, so what was read once is kept in a cache and the next build begins where the last
one ended.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.analyse.rows import Board
from bench.analyse.summary import MISSING, Cost, some_figures
from bench.publish import parquet
from bench.publish.paths import file_name
from bench.publish.workers import each
from bench.record.schema import Record
from bench.record.store import Place, files, read_at, read_lines

REASON = 300
"""Longest reason, in characters, that a list shows."""


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
    found.sort(key=lambda pair: -pair[1].stat().st_size)  # the longest first, so that all cores end together
    jobs = [(folder, path, output, _download(folders, folder, path), wanted, code) for folder, path in found]
    heavy = sum(path.stat().st_size for _, path in found) > MEGABYTES_TO_SHARE * 1e6
    entries: list[Entry] = []
    broken: list[str] = []
    downloads: dict[str, int] = {}
    for read, problems, address in each(_read_file, jobs, heavy):
        entries += read
        broken += problems
        if read:
            downloads[address] = len(read)
    entries.sort(key=lambda entry: (entry.started, entry.id))
    return Catalogue(entries, sorted(broken), sorted(downloads.items()))


def _download(folders: Sequence[Path], folder: Path, path: Path) -> str:
    """Address of the file as Parquet; with more than one folder of records, below the folder's number."""
    place = path.relative_to(folder).with_suffix("")
    number = [str(1 + folders.index(folder))] if len(folders) > 1 else []
    return "data/records/" + "/".join([*number, *map(file_name, place.parts)]) + ".parquet"


def _read_file(
    folder: Path, path: Path, output: Path, address: str, wanted: Mapping[str, Sequence[str]], code: str
) -> tuple[list[Entry], list[str], str]:
    inside = path.relative_to(folder)  # what the pages name: no path of this machine
    cache = output / ".cache" / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}.json"
    known = _cached(cache, path, code)
    start, number = (known["end"], known["number"]) if known else (0, 1)
    entries = [Entry(*values) for values in known["entries"]] if known else []
    broken: list[str] = list(known["broken"]) if known else []
    unfinished: list[str] = []
    fresh: list[Record] = []
    for place, found in read_lines(path, start, number):
        brief = _brief(found, path, place, wanted) if isinstance(found, Record) else found.reason
        if isinstance(found, Record) and isinstance(brief, Entry):
            entries.append(brief)
            fresh.append(found)
        elif isinstance(brief, str):
            (broken if place.whole else unfinished).append(f"{inside}:{place.number}: {brief}")
        if place.whole or isinstance(brief, Entry):  # else it is read again: it may still be being written
            start, number = place.end, place.number + 1
    if fresh or known is None:
        misfits = parquet.write(fresh, output / address, keep=known is not None)
        broken += [
            f"{inside}: record {record.id} does not fit into Parquet, it is on the pages alone" for record in misfits
        ]
        cache.parent.mkdir(parents=True, exist_ok=True)
        kept = {"code": code, "end": start, "number": number, "tail": _tail(path, start), "broken": broken}
        cache.write_text(json.dumps(kept | {"entries": entries}))
    return entries, broken + unfinished, address


def _cached(cache: Path, path: Path, code: str) -> dict[str, Any] | None:
    """What the last build read of the file, unless it, or the code that read it, has changed since."""
    try:
        known: dict[str, Any] = json.loads(cache.read_text())
        return known if known["code"] == code and known["tail"] == _tail(path, known["end"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _tail(path: Path, end: int) -> str:
    """A hash of the bytes before `end`: another file, or a line rewritten at the end, has another."""
    with path.open("rb") as file:
        file.seek(max(0, end - 4096))
        return f"{end} {hashlib.sha256(file.read(min(end, 4096))).hexdigest()}"


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
