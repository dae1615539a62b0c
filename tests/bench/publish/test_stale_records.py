"""`effbench records --stale`: what today's code did not make, and why."""

import json
from pathlib import Path

import pytest

from bench import cli
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import REGISTRY, save


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("bench.cli.records.opened", lambda: REGISTRY)
    return tmp_path / "results"


def test_only_what_is_stale_is_listed_and_why(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = make_record("beta", losses=[1.0], suite_version="0", key="old")
    superseded = make_record("alpha", losses=[1.0], key="old", age=3)
    save([make_record("alpha", losses=[1.0]), superseded, stale], results)
    cli.main(["records", "--stale", "--results", str(results)])
    said = capsys.readouterr().out
    assert "beta" in said
    assert "the suite has version 1, it had 0" in said
    assert "alpha" not in said  # its newest record is fresh
    cli.main(["records", "--stale", "--json", "--results", str(results)])
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["method"], found["stale"][0]) == ("beta", "the suite has version 1, it had 0")


def test_where_nothing_is_stale_it_says_so(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save([make_record("alpha", losses=[1.0])], results)
    cli.main(["records", "--stale", "--results", str(results)])
    assert capsys.readouterr().out == "nothing is stale\n"
