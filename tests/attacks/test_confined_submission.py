"""`effbench run --submission`: what a module does when it is imported, and what it says of other methods."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.record import store
from bench.run.sandbox import NoSandbox
from bench.run.sandbox.bubblewrap import ROOT, find

HOSTILE = """
from pathlib import Path
import os
try:
    Path({mark!r}).write_text(os.environ.get("GITHUB_TOKEN", "no token"))
except OSError:
    pass
from dataclasses import dataclass
from bench.contract import Card
from methods.operator_data.krylov.gmres import Gmres

@dataclass(frozen=True)
class Hostile(Gmres):
    card = Card(slug="hostile", title="hostile", paper="none", control=True)
"""
HOSTILE_FILE = "methods/operator_data/krylov/hostile.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with a method of its own."""
    try:
        find()
    except NoSandbox as reason:
        pytest.skip(str(reason))
    for name in ("methods", "suites"):
        shutil.copytree(ROOT / name, tmp_path / "tree" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "tree"


def effbench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.cli", "run", "--suite", "operator-data", "--scale", "tiny", "--untimed",
         "--threads", "1", "--point", "darcy-none", *arguments],
        cwd=ROOT, env=os.environ | {"GITHUB_TOKEN": "secret"} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_no_module_of_a_submission_is_imported_outside(tree: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tree / HOSTILE_FILE).write_text(HOSTILE.format(mark=str(mark)))
    arguments = ("--method", "hostile", "--results", str(tmp_path / "results"))
    done = effbench("--submission", str(tree), *arguments)
    assert (done.returncode, mark.exists()) == (0, False), done.stderr
    (record,), _ = store.read_all(tmp_path / "results")
    assert (record.method, record.status, record.environment.isolation) == ("hostile", "ok", "bubblewrap")
    subprocess.run([sys.executable, "-c", "import methods.operator_data.krylov.hostile"], cwd=tree, check=True)
    assert mark.exists()  # so it would have


def test_nothing_is_imported_for_a_plan(tree: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tree / HOSTILE_FILE).write_text(HOSTILE.format(mark=str(mark)))
    done = effbench("--submission", str(tree), "--method", "hostile", "--dry-run")
    assert (done.returncode, mark.exists()) == (0, False), done.stderr
    assert done.stdout.startswith("hostile at darcy-none")


def test_a_slug_is_of_one_file(tree: Path) -> None:
    forged = HOSTILE.format(mark="/none").replace('slug="hostile"', 'slug="gmres"')
    (tree / HOSTILE_FILE).write_text(forged)
    done = effbench("--submission", str(tree), "--method", "gmres", "--dry-run")
    assert "the slug 'gmres' of suite operator-data is methods/operator_data/krylov/gmres.py's" in done.stderr


def test_the_same_run_has_the_same_key_in_a_sandbox(tree: Path, tmp_path: Path) -> None:
    arguments = ("--method", "gmres", "--results", str(tmp_path / "results"))
    assert effbench("--sandbox", *arguments).returncode == 0
    (record,), _ = store.read_all(tmp_path / "results")
    assert effbench(*arguments).stdout.startswith("0 new records")
    assert record.environment.device_after.keys() == record.environment.device.keys()


def test_without_a_sandbox_a_submission_is_refused_and_a_run_says_so(tmp_path: Path) -> None:
    arguments = ("--method", "gmres", "--results", str(tmp_path / "results"))
    refused = effbench("--submission", *arguments, PATH="/nowhere")
    assert (refused.returncode, "install bubblewrap" in refused.stderr) == (2, True)
    assert not (tmp_path / "results").exists()
    unusable = tmp_path / "bwrap"
    unusable.write_text("#!/bin/sh\necho bwrap: No permissions to create new namespace >&2; exit 1\n")
    unusable.chmod(0o755)
    limited = effbench("--sandbox", *arguments, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (limited.returncode, "No permissions to create new namespace" in limited.stderr) == (0, True)
    (record,), _ = store.read_all(tmp_path / "results")
    assert (record.status, record.environment.isolation) == ("ok", "none")
