"""Check: records are only ever added, whole, in the file that they belong in, and can be believed."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.analyse.believed import refused
from bench.publish.revision import records_at
from bench.record.git import history
from bench.record.plain import is_one_command
from bench.record.schema import Record
from bench.record.store import read_lines, record_path
from bench.registry import open_registry
from bench.submit.changes import Changes
from bench.submit.checks.check import Check


def problems(changes: Changes) -> Iterator[str]:
    added: list[Record] = []
    labels: dict[int, str] = {}
    for path in changes.files:
        if not path.startswith("results/") or not path.endswith(".jsonl"):
            continue
        before, now = changes.before(path) or b"", changes.now(path) or b""
        if not now.startswith(before):
            yield f"{path}: records that were there are changed or gone"
            continue
        for number, found in _lines(now[len(before) :]):
            label = f"{path}, added line {number}"
            problem = found if isinstance(found, str) else _misplaced(found, Path(path))
            if problem is not None:
                yield f"{label}: {problem}"
            elif isinstance(found, Record):
                added.append(found)
                labels[id(found)] = label
    if added:
        known = records_at(changes.root, changes.root / "results", changes.base)
        for each in refused(added, known, open_registry(changes.root), history(changes.root)):
            yield f"{labels[id(each.record)]}: {each.reason}"


def _lines(text: bytes) -> Iterator[tuple[int, Record | str]]:
    """The records of some lines by their number, and in place of one that can't be read the reason."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(text)
        file.flush()
        for place, found in read_lines(Path(file.name)):
            yield place.number, found if isinstance(found, Record) else found.reason


def _misplaced(record: Record, path: Path) -> str | None:
    if record_path(Path("results"), record) != path:
        return f"belongs in {record_path(Path('results'), record)}"
    if record.environment.dirty:
        return "was taken with uncommitted changes, so nobody can repeat it"
    if not is_one_command(record.command):
        return "its command, which people will paste, is not one call of effbench"
    return None


CHECK = Check(
    "results",
    guards="the past stays as it was measured, and what is added can be read, repeated and believed",
    mend="restore the file (git checkout BASE -- FILE), commit the code, then run `effbench run` again",
    problems=problems,
)
