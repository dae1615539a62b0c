"""What a submission changes: the working tree against the point where it left the base branch. Asks git."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.record.environment import no_commit
from bench.registry import Registry
from bench.registry.past import read_past, touched
from bench.submit import Refused

BASES = ("upstream/main", "origin/main", "main")
"""Tried in this order where no base is named."""


class NoBase(Refused):
    """There is nothing to compare with."""


@dataclass(frozen=True)
class Changes:
    """base: commit where the work left the base branch. files: path below root, in the order of their names; what is
    new, changed or deleted since then, committed or not, and not ignored.
    """

    root: Path
    base: str
    files: tuple[str, ...]

    def before(self, path: str) -> bytes | None:
        """Content at the base; None where the file did not exist."""
        found = _git(self.root, "cat-file", "blob", f"{self.base}:{path}")
        return found.stdout if found.returncode == 0 else None

    def existed(self, folder: str) -> bool:
        """Whether there was such a folder or file at the base."""
        return _git(self.root, "cat-file", "-e", f"{self.base}:{folder}").returncode == 0

    def now(self, path: str) -> bytes | None:
        """Content in the working tree; None where the file is gone."""
        file = self.root / path
        return file.read_bytes() if file.is_file() else None


def changes(root: Path, base: str | None = None) -> Changes:
    """Raises NoBase if `root` is no git checkout, or has no such revision."""
    for name in [base] if base else BASES:
        commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if commit.returncode == 0:
            break
    else:
        why = f" ({reason})" if (reason := no_commit(root)) else ""
        named = base or " or ".join(BASES)
        raise NoBase(f"{root} has no git revision {named} to compare with{why}; name one with --base")
    fork = _git(root, "merge-base", _line(commit), "HEAD")
    if fork.returncode:
        raise NoBase(f"{name} and the present work have no common history")
    changed = _git(root, "diff", "--name-only", "--no-renames", "-z", _line(fork), "--")
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    names = (changed.stdout + untracked.stdout).decode(errors="surrogateescape").split("\0")
    return Changes(root, _line(fork), tuple(sorted({name for name in names if name})))


def touched_methods(registry: Registry, changes: Changes) -> dict[str, list[str]]:
    """Slugs of the methods whose runs would be others than at the base, by suite. registry: of the same checkout."""
    past = read_past(changes.root, changes.base)
    if past is None:
        raise NoBase(f"{changes.root} has no commit {changes.base}")
    return touched(registry, past)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise NoBase("git is not installed, so there is nothing to compare with") from error


def _line(answer: subprocess.CompletedProcess[bytes]) -> str:
    return answer.stdout.decode().strip()
