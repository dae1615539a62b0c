"""`effbench check` as a whole: all failures at once, a last line that agrees with the exit code; runs may crash."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import cli
from bench.contract.registry import Registry, UnknownName
from bench.run.plan import make_plan
from bench.submit import check
from bench.submit.changes import Changes
from bench.submit.checks.check import Check, NotChecked
from bench.submit.trials import TrialProcess

ROOT = Path(__file__).resolve().parents[3]


def fails(_: object) -> list[str]:
    return ["first", "second"]


def breaks(_: object) -> list[str]:
    raise ZeroDivisionError("the check itself")


def cannot(_: object) -> list[str]:
    raise NotChecked("a tool is missing")


PLANTED = tuple(
    Check(name, guards="a", mend="b", problems=problems)
    for name, problems in (("good", lambda _: []), ("bad", fails), ("broken", breaks), ("blind", cannot))
)


def run(monkeypatch: pytest.MonkeyPatch, checks: tuple[Check, ...], *arguments: str) -> int:  # type: ignore[type-arg]
    monkeypatch.setattr(check, "METHOD_CHECKS", checks)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["check", *arguments])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_every_failure_is_shown_and_the_last_line_agrees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, PLANTED, "flap", "skr") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "check: 3 passed, 4 failed, 2 not checked"
    assert sum(line.startswith("FAILED") for line in lines) == 4
    assert sum(line.strip() == "- second" for line in lines) == 2
    assert sum("ZeroDivisionError: the check itself" in line for line in lines) == 2


def test_all_well_is_exit_code_zero(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, (PLANTED[0], PLANTED[3]), "flap") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "check: 2 passed, 0 failed, 1 not checked"


def test_json_holds_what_a_reader_needs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, PLANTED, "flap", "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["summary"] == "check: 2 passed, 2 failed, 1 not checked"
    [bad] = [finding for finding in shown["findings"] if finding["check"] == "bad"]
    assert (bad["subject"], bad["status"], bad["problems"]) == ("flap", "failed", ["first", "second"])
    assert bad["guards"]
    assert bad["mend"]


def test_an_unknown_name_is_refused_before_anything_runs(toy_registry: Registry) -> None:
    with pytest.raises(UnknownName, match="did you mean 'toy-half'"):
        check.check(toy_registry, ["toy-dense", "toy-halv"], None, show=lambda _: pytest.fail("nothing is checked"))


def test_a_module_that_cannot_be_imported_is_a_failure(toy_registry: Registry) -> None:
    broken = replace(toy_registry, problems=("methods.x could not be imported: SyntaxError",))
    findings = check.check(broken, [], None, show=lambda _: None)
    assert [finding.status for finding in findings] == ["failed"]
    assert check.failed(findings)


def test_what_is_touched_follows_helpers_and_suites(toy_registry: Registry) -> None:
    def slugs(*files: str) -> list[str]:
        return check.touched(toy_registry, Changes(ROOT, "HEAD", files))

    assert slugs("methods/lm_compression/quantisation/int8_weight_only.py") == ["int8-weight-only"]
    assert {"skr", "gmres"} <= set(slugs("methods/_techniques/gcro_dr.py"))
    assert "finercut" not in slugs("methods/_techniques/gcro_dr.py")
    touched = slugs("suites/operator_data/suite.toml")
    assert touched[0] == "operator-data"
    assert {"gmres", "skr", "gcrot", "recycling"} == set(touched[1:])
    assert slugs("README.md") == []


def test_a_run_may_take_its_process_down(toy_registry: Registry) -> None:
    """A method that exits, one that hangs where no signal reaches it, and one that is well, in the same session."""

    def job(slug: str):  # type: ignore[no-untyped-def]
        return make_plan(
            toy_registry, suite="toy", methods=[f"{slug}@unlimited"], seeds=[0], scale="tiny", threads=1, timed=False
        )[0]

    with TrialProcess() as run:
        died = run(job("toy-exit"), 120).outcome
        well = run(job("toy-half"), 120).outcome
        hung = run(job("toy-deaf"), 5).outcome
    assert (died.status, died.reason) == ("failed", "the process died (exit code 3: [effbench] build)")
    assert well.status == "ok"
    assert (hung.status, hung.reason) == ("timeout", "stopped after 5 s")
