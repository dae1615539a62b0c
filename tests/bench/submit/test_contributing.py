"""CONTRIBUTING.md is true: its commands work in their order, in a fresh copy of the tree, and print what it shows.

A fenced block is what its first word says: `sh` is run and must succeed, with `fails` end in 1; `python FILE` is
written to that file; each line of `text` must stand in what the block before printed. `sh install` is tested apart.
"""

import os
import re
import subprocess
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
    """All but the dependencies, which this environment has: a gigabyte is nothing to fetch for a test."""
    try:
        urllib.request.urlopen("https://pypi.org/simple/hatchling/", timeout=10).close()
    except OSError:
        pytest.skip("the package index can't be reached")
    [block] = [block for block in blocks() if block.info == "sh install"]
    script = block.text.replace("pip install -c", "pip install --no-deps -c")
    assert script != block.text
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "does not provide the extra" not in done.stderr
    assert (clone / ".venv/bin/effbench").exists()
