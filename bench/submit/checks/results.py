"""Check: records are only ever added, whole, in the file that they belong in."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.record.schema import Record
from bench.record.store import read_lines, record_path
from bench.submit.changes import Changes
from bench.submit.checks.check import Check


def problems(changes: Changes) -> Iterator[str]:
    for path in changes.files:
        if not path.startswith("results/") or not path.endswith(".jsonl"):
            continue
        before, now = changes.before(path) or b"", changes.now(path) or b""
        if not now.startswith(before):
            yield f"{path}: records that were there are changed or gone"
            continue
        yield from (f"{path}{problem}" for problem in _added(now[len(before) :], Path(path)))


def _added(lines: bytes, path: Path) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(lines)
        file.flush()
        for place, found in read_lines(Path(file.name)):
            label = f", added line {place.number}"
            if not isinstance(found, Record):
                yield f"{label}: {found.reason}"
            elif record_path(Path("results"), found) != path:
                yield f"{label}: belongs in {record_path(Path('results'), found)}"
            elif found.environment.dirty:
                yield f"{label}: was taken with uncommitted changes, so nobody can repeat it"


CHECK = Check(
    "results",
    guards="the past stays as it was measured, and what is added can be read and repeated",
    mend="restore the file (git checkout BASE -- FILE), commit the code, then run `effbench run` again",
    problems=problems,
)
