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
