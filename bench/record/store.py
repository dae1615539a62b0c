"""Records on disk: results/<hardware>/<suite>/<method>.jsonl, one record a line, only ever appended to."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.record.schema import SCHEMA_VERSION, Record

FREE_BYTES_NEEDED = 64 * 1024 * 1024


class ResultsNotWritable(RuntimeError):
    """The results folder can't take records; said before any work is done."""


@dataclass(frozen=True)
class BrokenRecord:
    """A line that is no readable record: where it stands and why."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


def record_path(root: Path, record: Record) -> Path:
    """The file that a record belongs in."""
    return root / record.hardware / record.suite / f"{record.method}.jsonl"


def append(root: Path, record: Record) -> Path:
    """Add a record durably (it is on the disk when this returns). A line cut short by a crash is left behind, ended."""
    path = record_path(root, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = record.model_dump_json().encode() + b"\n"
    with path.open("ab") as file:
        if file.tell() and _last_byte(path) != b"\n":
            line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return path


def read_all(root: Path) -> tuple[list[Record], list[BrokenRecord]]:
    """Every record under root, oldest first, and every line that could not be read. A missing folder is empty."""
    records: list[Record] = []
    broken: list[BrokenRecord] = []
    for path in sorted(root.glob("*/*/*.jsonl")):
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            broken.append(BrokenRecord(path, 0, f"can't be read: {error}"))
            continue
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                records.append(Record.model_validate_json(line))
            except ValidationError as error:
                broken.append(BrokenRecord(path, number, _why(line, error)))
    records.sort(key=lambda record: record.started)
    return records, broken


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
    free = shutil.disk_usage(root).free
    if free < FREE_BYTES_NEEDED:
        raise ResultsNotWritable(
            f"results folder {root} has {free // 2**20} MiB free, {FREE_BYTES_NEEDED // 2**20} MiB are needed; "
            "free some space or choose another with --results DIR"
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
