"""Records as they were at a commit."""

import subprocess
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from bench.record import store
from bench.record.environment import no_commit
from bench.record.git import git
from bench.record.schema import Record


class UnknownRevision(RuntimeError):
    """The revision is not in this checkout; the message names it."""


def records_at(root: Path, folder: Path, revision: str) -> list[Record]:
    """Every record below a folder of the checkout at root, as committed at the revision (a branch, a tag, a commit).

    Empty if the folder did not exist then. Raises UnknownRevision.
    """
    try:
        commit = git(root, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    except (OSError, subprocess.SubprocessError) as error:
        what = no_commit(root) or f"git knows no commit {revision!r} here; fetch it first, or name another"
        raise UnknownRevision(what) from error
    place = folder.resolve().relative_to(root.resolve()).as_posix()
    if not git(root, "ls-tree", "--name-only", commit, "--", place):
        return []
    with tempfile.TemporaryDirectory(prefix="effbench-base-") as base:
        with tarfile.open(fileobj=BytesIO(git(root, "archive", commit, "--", place))) as archive:
            archive.extractall(base, filter="data")
        return store.read_all(Path(base, place))[0]
