"""`nightly`, `verify` and `audit` with --sandbox: what was merged sees no more of the machine than a submission."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.record import store
from bench.run.sandbox import NoSandbox
from bench.run.sandbox.bubblewrap import ROOT, find

CURIOUS = """
import os
from dataclasses import dataclass
from bench.contract import Card
from methods.operator_data.krylov.gmres import Gmres

@dataclass(frozen=True)
class Curious(Gmres):
    card = Card(slug="curious", title="curious", paper="none", control=True)

    def supports(self, task):
        return f"the token is {os.environ.get('GITHUB_TOKEN', 'not there')}"
"""
WHERE = ("--suite", "operator-data", "--method", "curious@darcy-none", "--scale", "tiny")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One into which the method was merged."""
    try:
        find()
    except NoSandbox as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("bench", "methods", "suites"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "methods/operator_data/krylov/curious.py").write_text(CURIOUS)
    return folder


def effbench(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "bench.cli", *arguments, "--results", str(checkout / "records")], cwd=checkout,
        env=os.environ | {"GITHUB_TOKEN": "secret", "PYTHONPATH": str(checkout)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def identity(checkout: Path) -> str:
    """Of the record that a night has made."""
    done = effbench(checkout, "nightly", "--sandbox", *WHERE, "--time", "60s")
    assert done.returncode == 0, done.stderr
    (record,), _ = store.read_all(checkout / "records")
    assert (record.status, record.reason) == ("unsupported", "the token is not there")
    assert record.environment.isolation == "bubblewrap"
    return record.id


@pytest.mark.parametrize("command", [["verify"], ["audit", "--count", "1"]], ids=["verify", "audit"])
def test_what_is_run_again_is_run_in_a_sandbox(checkout: Path, identity: str, command: list[str]) -> None:
    done = effbench(checkout, *command, *([identity] if command == ["verify"] else []), "--sandbox")
    assert "the token is not there" in done.stdout, done.stderr


def test_without_it_the_token_is_there(checkout: Path, identity: str) -> None:
    assert "the token is secret" in effbench(checkout, "verify", identity).stdout


def test_altered_cache_is_not_brought_into_a_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.contract.cache import made_once

    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    for name in ("good", "altered", "added"):
        made_once("data", name, lambda folder: (folder / "text").write_text("as it was made") and None)
    (tmp_path / "data/altered/text").write_text("as it was altered")
    (tmp_path / "data/added/datasets").mkdir()
    (tmp_path / "data/added/datasets/text").write_text("as it was added")
    (tmp_path / "data/stray").mkdir()
    (tmp_path / "data/stray/text").write_text("of nobody")
    try:
        command = find().command(["cat", *map(str, sorted(tmp_path.rglob("text")))], temporary_bytes=1 << 20)
    except NoSandbox as reason:
        pytest.skip(str(reason))
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.stdout == 2 * "as it was made", said.stderr
