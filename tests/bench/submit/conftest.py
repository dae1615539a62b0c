"""A fresh copy of the repository, as somebody who wants to contribute has it."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The tree as it is now, committed, with an origin to push to; without the records."""
    folder, origin = tmp_path / "effbench", tmp_path / "origin.git"
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0"):
        if name and not name.startswith("results/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git(tmp_path, "init", "-q", "--bare", str(origin))
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "A Newcomer")
    git(folder, "config", "user.email", "newcomer@example.org")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "The tree")
    git(folder, "remote", "add", "origin", str(origin))
    git(folder, "push", "-q", "origin", "main")
    return folder


@pytest.fixture
def environment(clone: Path, tmp_path: Path) -> dict[str, str]:
    """One in which `effbench` and `pytest` are those of the copy."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, module in (("effbench", "bench.cli"), ("pytest", "pytest")):
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m {module} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return dict(os.environ) | {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone),
        "OMP_NUM_THREADS": "1",
    }
