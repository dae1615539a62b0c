"""`effbench check` as a whole: all failures at once, a last line that agrees with the exit code; runs may crash."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import cli
from bench.registry import Registry, UnknownName
from bench.registry.names import AmbiguousName
from bench.run.plan import Job, Selection, make_plan
from bench.submit import check
from bench.submit.changes import changes
from bench.submit.checks.check import Check, NotChecked
from bench.submit.trials import Trials
from tests.bench.small_checkout import append, commit, make_checkout, registry_of, replace


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
    assert run(monkeypatch, PLANTED, "flap", "lm-compression/gptq") == 1
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


def test_a_slug_of_two_suites_is_refused_with_both_names(tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    (root / "methods/other/family").mkdir(parents=True)
    (root / "methods/other/family/alpha.py").write_text((root / "methods/demo/family/alpha.py").read_text())
    (root / "suites/other").mkdir()
    for name in ("suite.toml", "main.py"):
        (root / "suites/other" / name).write_text(
            (root / "suites/demo" / name).read_text().replace('"demo"', '"other"')
        )
    with pytest.raises(AmbiguousName, match="demo/alpha or other/alpha"):
        check.check(registry_of(root), ["alpha"], None, show=lambda _: pytest.fail("nothing is checked"))


def test_columns_are_as_wide_as_the_longest_name(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["short", "a-suite-with-a-long-name/and-a-method-with-a-long-name"]
    show = check.shower(names)
    for name in names:
        show(check.Finding(name, "card", "passed", (), "", "", 0.0))
    lines = capsys.readouterr().out.splitlines()
    assert len({line.index("card") for line in lines}) == 1


def test_what_can_not_be_read_is_a_failure(toy_registry: Registry) -> None:
    broken = dataclasses.replace(toy_registry, faults=("methods/x.py can't be read: SyntaxError",))
    findings = check.check(broken, [], None, show=lambda _: None)
    assert [finding.status for finding in findings] == ["failed"]
    assert check.failed(findings)


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        (append("methods/demo/family/alpha.py", "# why\n"), ["demo/alpha"]),  # its words are checked, too
        (replace("return task", "return [task]", "methods/demo/_helper.py"), ["demo/alpha", "demo/beta"]),
        (replace("return 1", "return 2", "methods/demo/_helper.py"), []),
        (append("methods/_techniques/tool.py", "    # why\n"), []),
        (replace("x + 1", "x + 2", "methods/_techniques/tool.py"), ["demo/dense"]),
        (replace("0.5", "0.4"), ["demo", "demo/alpha", "demo/beta", "demo/dense"]),
        (append("suites/demo/README.md", "More.\n"), ["demo"]),
        (append("other.py"), []),
    ],
)
def test_what_is_touched_follows_helpers_and_suites(
    change: Callable[[Path], None], touched: list[str], tmp_path: Path
) -> None:
    root = make_checkout(tmp_path)
    change(root)
    found = check.touched(registry_of(root), changes(root))
    assert found == touched
    commit(root)
    assert check.touched(registry_of(root), changes(root)) == []


def test_a_run_may_take_its_process_down(toy_registry: Registry) -> None:
    """A method that exits, one that hangs where no signal reaches it, and one that is well, in the same session."""

    def job(slug: str) -> Job:
        wanted = Selection("toy", [f"{slug}@unlimited"], (), (0,), "tiny", threads=1, timed=False)
        return make_plan(toy_registry, wanted)[0]

    info = toy_registry.suites["toy"]
    impatient = dataclasses.replace(
        toy_registry, suites={"toy": dataclasses.replace(info, timeout={"tiny": 1})}
    )  # a trial has five times that
    with Trials(toy_registry) as run:
        died = run(job("toy-exit")).outcome
        well = run(job("toy-half")).outcome
        run.registry = impatient
        hung = run(job("toy-deaf")).outcome
    assert (died.status, died.reason) == ("failed", "the builder's process ended with exit code 3")
    assert well.status == "ok"
    assert (hung.status, str(hung.reason)[:16]) == ("timeout", "stopped after 5 ")
