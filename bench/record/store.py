"""Records on disk: results/<hardware>/<suite>/<method>.jsonl, one record a line, only ever appended to."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from bench.record.schema import SCHEMA_VERSION, Record
from bench.record.sense import contradictions

FREE_BYTES_NEEDED = 64 * 1024 * 1024


class ResultsNotWritable(RuntimeError):
    """The results folder can't take records; said before any work is done."""


@dataclass(frozen=True)
class BrokenRecord:
    """A line that is no readable record: where it stands and why. digest: of the line, to tell copies by."""

    path: Path
    line: int
    reason: str
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


class Place(NamedTuple):
    """Where a line stands in its file, in bytes. whole: it is ended; one that is not may still be being written."""

    number: int
    offset: int
    length: int
    whole: bool

    @property
    def end(self) -> int:
        """Where the next line begins."""
        return self.offset + self.length


def record_path(root: Path, record: Record) -> Path:
    """The file that a record belongs in."""
    return root / record.hardware / record.suite / f"{record.method}.jsonl"


def append(root: Path, record: Record) -> Path:
    """Add a record durably (it is on the disk when this returns). A line cut short by a crash is left behind, ended.

    Raises ResultsNotWritable, with the file as it was, where the disk takes no more.
    """
    path = record_path(root, record)
    line = record.model_dump_json().encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # so that what is taken back is ours
            before = file.seek(0, os.SEEK_END)
            if before and _last_byte(path) != b"\n":
                line = b"\n" + line
            try:
                _write(file, line)
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise ResultsNotWritable(
            f"{path} can't be written ({error.strerror}), so the record of {record.method} at {record.point} is not "
            "kept; make room, and the same command runs what is missing"
        ) from error
    return path


def _write(file: FileIO, line: bytes) -> None:
    written = 0
    while written < len(line):
        written += file.write(line[written:])
    os.fsync(file.fileno())


def read_all(root: Path) -> tuple[list[Record], list[BrokenRecord]]:
    """Every record under root, oldest first, and every line that could not be read, without copies of them. A missing
    folder is empty."""
    records: list[Record] = []
    broken: dict[str, BrokenRecord] = {}
    seen: dict[str, Record] = {}
    for path in files(root):
        for _, found in read_lines(path):
            if isinstance(found, BrokenRecord):
                broken.setdefault(found.digest, found)
            elif found.id not in seen or found.model_dump_json() != seen[found.id].model_dump_json():
                seen.setdefault(found.id, found)
                records.append(found)
    records.sort(key=lambda record: record.started)
    return records, list(broken.values())


def read_method(root: Path, suite: str, method: str) -> Iterator[Record]:
    """The records of one method, on any hardware. Reads its files alone."""
    for path in sorted(root.glob(f"*/{suite}/{method}.jsonl")):
        yield from (found for _, found in read_lines(path) if isinstance(found, Record))


def answers(record: Record, timed: bool = False) -> bool:
    """Whether a record is an answer; timed: one that has times, too, where it went well."""
    return not record.disturbed and (not timed or bool(record.timings) or record.status != "ok")


def is_answered(root: Path, suite: str, method: str, key: str, timed: bool = False) -> bool:
    """Whether there is a record with this key now. timed: see `answers`."""
    return any(record.key == key and answers(record, timed) for record in read_method(root, suite, method))


def files(root: Path) -> list[Path]:
    """Every file of records under root, in order of their names."""
    return sorted(root.glob("*/*/*.jsonl"))


def read_lines(path: Path, start: int = 0, number: int = 1) -> Iterator[tuple[Place, Record | BrokenRecord]]:
    """What stands on each line of a file from byte `start` on, which begins line `number`; blank lines are passed over.

    Files are only appended to, so a reader that keeps the last place can go on from `Place.end` of it.
    """
    if path.exists() and not path.is_file():
        yield Place(0, start, 0, False), BrokenRecord(path, 0, "can't be read: it is no file", str(path))
        return
    try:
        with path.open("rb") as file:
            file.seek(start)
            for line in file:
                place = Place(number, start, len(line), line.endswith(b"\n"))
                if line.strip():
                    yield place, _parse(path, number, line)
                start, number = place.end, number + 1
    except OSError as error:
        yield Place(0, start, 0, False), BrokenRecord(path, 0, f"can't be read: {error}", str(path))


def read_at(path: Path, offset: int, length: int) -> Record:
    """The record at a place that `read_lines` told. Raises ValidationError if the file was changed since."""
    with path.open("rb") as file:
        file.seek(offset)
        return Record.model_validate_json(file.read(length))


def _parse(path: Path, number: int, line: bytes) -> Record | BrokenRecord:
    try:
        record = Record.model_validate_json(line)
    except ValidationError as error:
        return BrokenRecord(path, number, _why(line, error), _digest(line))
    problem = next(contradictions(record), None)
    return record if problem is None else BrokenRecord(path, number, problem, _digest(line))


def _digest(line: bytes) -> str:
    return hashlib.sha256(line.strip()).hexdigest()


def check_writable(root: Path) -> None:
    """Raise ResultsNotWritable, with what to do, if records could not be stored under root."""
    probe = root / f".probe-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"probe")
        probe.unlink()
    except OSError as error:
        raise ResultsNotWritable(
            f"results folder {root} can't be written ({error.strerror}); choose another with --results DIR"
        ) from error
    check_room(root, "results folder", "choose another with --results DIR")


def check_room(folder: Path, what: str, otherwise: str) -> None:
    """Raise ResultsNotWritable if the disk of a folder is nearly full. otherwise: what helps, beside making room."""
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_NEEDED:
        raise ResultsNotWritable(
            f"{what} {folder} has {free // 2**20} MiB free, {FREE_BYTES_NEEDED // 2**20} MiB are needed; "
            f"free some space or {otherwise}"
        )


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def _why(line: bytes, error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if where == "schema_version":
        return f"written with another schema version than {SCHEMA_VERSION}: {first.get('input')!r}"
    if first["type"] == "json_invalid":
        return f"not JSON (cut short by a crash?): {line[:60].decode(errors='replace')!r}"
    return f"{where}: {first['msg']}"
