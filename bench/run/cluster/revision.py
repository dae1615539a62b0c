"""Which code a machine has: records of one plan are made by one state of the code, or they can't be compared."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bench.record.environment import commit

_CODE = ("bench", "methods", "suites")
_KINDS = {".py", ".toml", ".yaml"}


@dataclass(frozen=True)
class Revision:
    """commit: None outside of a git checkout. digest: of the files themselves, so that edited checkouts differ."""

    commit: str | None
    digest: str

    def __str__(self) -> str:
        return f"commit {(self.commit or 'unknown')[:10]}, files {self.digest[:10]}"


def revision(root: Path) -> Revision:
    """The state of the code in the checkout, or the installed package, at `root`."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in (root / folder).rglob("*") if path.suffix in _KINDS):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return Revision(commit(root)[0], digest.hexdigest())
