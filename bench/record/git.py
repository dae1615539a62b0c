"""Questions to git."""

import subprocess
from pathlib import Path


def git(root: Path, *arguments: str) -> bytes:
    """What git says in the work tree at root. Raises OSError without git, subprocess.SubprocessError if it fails."""
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True, timeout=300)
    return done.stdout


def git_or_none(root: Path, *arguments: str) -> bytes | None:
    """The same, None where there is no answer."""
    try:
        return git(root, *arguments)
    except (OSError, subprocess.SubprocessError):
        return None


def history(root: Path) -> frozenset[str] | None:
    """Every commit that the work tree at root comes from; None where that is not known: outside of git, or where the
    checkout holds only a part of it."""
    shallow = git_or_none(root, "rev-parse", "--is-shallow-repository")
    listed = git_or_none(root, "rev-list", "HEAD") if shallow == b"false\n" else None
    return None if listed is None else frozenset(listed.decode().split())
