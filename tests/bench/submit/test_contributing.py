"""CONTRIBUTING.md is true: its commands work in their order, in a fresh copy of the tree, and print what it shows.

A fenced block is what its first word says: `sh` is run and must succeed, with `fails` end in 1; `python FILE` is
written to that file; each line of `text` must stand in what the block before printed. `sh install` is tested apart.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]


class Block(NamedTuple):
    info: str
    text: str


def blocks() -> list[Block]:
    found = re.findall(r"^```(.+?)\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
    return [Block(info, text) for info, text in found]


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


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    kinds = {"sh", "sh fails", "sh install", "text", "toml"}
    assert all(block.info in kinds or block.info.startswith("python methods/") for block in blocks())
    assert sum(block.info.startswith("sh") for block in blocks()) >= 8


def test_entry_points_that_are_shown_are_those_that_are_read() -> None:
    [shown] = [tomllib.loads(block.text) for block in blocks() if block.info == "toml"]
    assert set(shown["project"]["entry-points"]) == {"effbench.methods", "effbench.suites"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_walk(clone: Path, environment: dict[str, str]) -> None:
    printed = ""
    for block in blocks():
        kind, _, rest = block.info.partition(" ")
        if kind == "python":
            (clone / rest).write_text(block.text)
        elif kind == "text":
            missing = [line for line in block.text.splitlines() if line not in printed]
            assert not missing, printed
        elif kind == "sh" and rest != "install":
            done = subprocess.run(
                ["bash", "-e", "-c", block.text],
                cwd=clone,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            printed = done.stdout
            assert done.returncode == (1 if rest == "fails" else 0), f"{block.text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_the_installation(clone: Path) -> None:
    """Without the dependencies, which this environment has: a gigabyte is nothing to fetch for a test."""
    try:
        urllib.request.urlopen("https://pypi.org/simple/hatchling/", timeout=10).close()
    except OSError:
        pytest.skip("the package index can't be reached")
    [block] = [block for block in blocks() if block.info == "sh install"]
    script = f"{block.text}\neffbench --help"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PIP_NO_DEPS": "1"}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert (clone / ".venv" / "bin" / "effbench").exists(), done.stderr
    assert "No module named 'torch'" in done.stderr or done.returncode == 0, done.stderr
