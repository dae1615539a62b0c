"""The command: what a person and what a script get."""

import json
from pathlib import Path

import pytest

from bench import cli


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(arguments)
    return capsys.readouterr().out


def test_list_json_has_the_promised_fields(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["slug"]: row for row in json.loads(output(capsys, "list", "--json"))}
    assert {"slug", "suite", "control", "paper"} <= set(rows["finercut"])
    assert rows["finercut"]["suite"] == "lm-compression"
    assert rows["dense"]["control"] is True
    assert rows["skr"]["control"] is False


def test_list_of_one_suite_leaves_the_others_out(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "list", "--suite", "operator-data")
    assert "skr" in text
    assert "finercut" not in text


def test_show_tells_paper_claims_and_file(capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(output(capsys, "show", "flap", "--json"))
    assert shown["url"].startswith("https://")
    assert shown["claims"][0]["source"]
    assert Path(shown["source"]).name == "flap.py"
    assert "claim: " in output(capsys, "show", "flap")


def test_show_of_an_unknown_method_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["show", "finercutt"])
    assert stopped.value.code == 2
    assert "did you mean 'finercut'" in capsys.readouterr().err


def test_schema_describes_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(output(capsys, "records", "--schema"))
    assert "out_of_memory" in schema["properties"]["status"]["enum"]


def test_dry_run_prints_the_plan_and_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    results = tmp_path / "results"
    text = output(
        capsys, "run", "--suite", "lm-compression", "--method", "dense@unlimited",
        "--method", "random-block-drop@size-50", "--dry-run", "--results", str(results),
    )  # fmt: skip
    assert text.splitlines() == [
        "dense at unlimited, seed 0",
        *(f"random-block-drop at size-50, seed {seed}" for seed in range(3)),
    ]
    assert not results.exists()


def test_a_suite_says_how_many_seeds_a_stochastic_method_has(capsys: pytest.CaptureFixture[str]) -> None:
    methods = ["--method", "lora:default@tokens", "--method", "frozen@tokens"]
    text = output(capsys, "run", "--suite", "lm-finetuning", *methods, "--dry-run")
    lora = [f"lora at tokens, seed {seed}" for seed in range(5)]
    assert sorted(text.splitlines()) == ["frozen at tokens, seed 0", *lora]


@pytest.mark.parametrize(
    "command",
    ["list", "show", "new", "check", "run", "report", "nightly", "verify", "audit", "selfcheck", "records", "site"],
)
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    assert f"effbench {command}" in capsys.readouterr().out.split("examples:")[1]
