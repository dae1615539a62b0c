"""The code of an earlier commit, measured here and now: in a work tree of its own, with today's libraries."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.record import store
from bench.record.git import git
from bench.record.schema import Record
from bench.run.plan import Job


class NoPast(RuntimeError):
    """The earlier code can't be had or can't be run; the message says why."""


def measure_past(
    root: Path, commit: str, job: Job, times: int, seconds: float, *, confined: bool = False
) -> list[Record]:
    """Records of the job run so many times with the code of a commit of the checkout at root. seconds: for each run.
    confined: in a sandbox, where there is one.

    The records are not kept: they are not of today's code. Raises NoPast.
    """
    with _worktree(root, commit) as tree, tempfile.TemporaryDirectory(prefix="effbench-past-") as folder:
        path = os.pathsep.join(filter(None, [str(tree), os.environ.get("PYTHONPATH")]))
        command = [*shlex.split(job.command)[1:], "--results", folder, *(["--sandbox"] if confined else [])]
        for _ in range(times):
            try:
                subprocess.run(
                    [sys.executable, "-m", "bench.cli", *command],
                    cwd=tree, env=os.environ | {"PYTHONPATH": path}, capture_output=True, check=True, timeout=seconds,
                )  # fmt: skip
            except subprocess.CalledProcessError as error:
                last = error.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
                raise NoPast(f"commit {commit[:12]} does not run: {last[0]}") from error
            except (OSError, subprocess.TimeoutExpired) as error:
                raise NoPast(f"commit {commit[:12]} does not run: {error}") from error
        return store.read_all(Path(folder))[0]


@contextmanager
def _worktree(root: Path, commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="effbench-tree-") as folder:
        tree = Path(folder, "tree")
        try:
            git(root, "worktree", "add", "--detach", str(tree), commit)
        except (OSError, subprocess.SubprocessError) as error:
            raise NoPast(f"commit {commit[:12]} is not in this checkout") from error
        try:
            yield tree
        finally:
            with suppress(OSError, subprocess.SubprocessError):
                git(root, "worktree", "remove", "--force", str(tree))
