"""The command: what a person and what a script get."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.cli.selection import methods_by_suite
from bench.record import store
from bench.registry import Registry, UnknownName
from bench.registry.names import AmbiguousName
from bench.submit.changes import changes
from tests.bench.analyse.record_factory import make_record
from tests.bench.small_checkout import ALPHA, make_checkout, move, registry_of, replace


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(arguments)
    return capsys.readouterr().out


def test_list_json_has_the_promised_fields(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["slug"]: row for row in json.loads(output(capsys, "list", "--json"))}
    assert {"slug", "suite", "problems", "control", "paper"} <= set(rows["finercut"])
    assert rows["finercut"]["suite"] == "lm-compression"
    assert rows["dense"]["control"] is True
    assert rows["skr"]["control"] is False


def test_list_of_one_suite_leaves_the_others_out(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "list", "--suite", "operator-data")
    assert "skr" in text
    assert "finercut" not in text


def test_slugs_of_any_length_stay_in_their_column(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_checkout(tmp_path)
    replace('"alpha"', f'"{"a" * 60}"', ALPHA)(root)
    monkeypatch.setattr("bench.cli.list.opened", lambda: registry_of(root))
    lines = [line for line in output(capsys, "list").splitlines() if "A title" in line]
    assert len(lines) == 3
    assert len({line.index("control") for line in lines}) == len({line.index("A title") for line in lines}) == 1


def test_plan_loads_no_torch() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "bench.cli", "plan", "--suite", "operator-data"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = re.findall(r"\|\s+(\S+)$", done.stderr, re.MULTILINE)
    assert "bench.run.wanted" in imported
    assert not {"torch", "transformers", "scipy"} & set(imported)


def test_list_is_quick_and_loads_no_torch() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "bench.cli", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = re.findall(r"\|\s+(\S+)$", done.stderr, re.MULTILINE)
    assert "bench.registry" in imported
    assert not {"torch", "transformers", "pydantic", "scipy"} & set(imported)
    total = sum(int(took) for took in re.findall(r"import time:\s+(\d+) \|", done.stderr))
    assert total < 1_000_000


def test_show_takes_the_name_of_the_suite_where_a_slug_is_ambiguous(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(output(capsys, "show", "lm-compression/dense", "--json"))["suite"] == "lm-compression"


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


def test_of_many_names_a_few_are_told() -> None:
    assert str(UnknownName("record", "zzz", (f"{i:03}" for i in range(1000)))).endswith("018, 019 and 980 more")


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
        *(f"random-block-drop at size-50, seed {seed}" for seed in range(10)),  # as its card says
    ]
    assert not results.exists()


def test_a_suite_says_how_many_seeds_a_stochastic_method_has(capsys: pytest.CaptureFixture[str]) -> None:
    methods = ["--method", "lora:default@tokens", "--method", "frozen@tokens"]
    text = output(capsys, "run", "--suite", "lm-finetuning", *methods, "--dry-run")
    lora = [f"lora at tokens, seed {seed}" for seed in range(5)]
    assert sorted(text.splitlines()) == ["frozen at tokens, seed 0", *lora]


def test_methods_are_sorted_to_their_suites(tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    (root / "methods/other/family").mkdir(parents=True)
    for slug in ("alpha", "gamma"):
        (root / f"methods/other/family/{slug}.py").write_text((root / ALPHA).read_text().replace("alpha", slug))
    (root / "suites/other").mkdir()
    for name in ("suite.toml", "main.py"):
        text = (root / "suites/demo" / name).read_text()
        (root / "suites/other" / name).write_text(text.replace('"demo"', '"other"'))
    registry = registry_of(root)
    assert methods_by_suite(registry, [], []) == [("demo", []), ("other", [])]
    chosen = methods_by_suite(registry, [], ["gamma@half", "demo/alpha", "beta"])
    assert chosen == [("demo", ["demo/alpha", "beta"]), ("other", ["gamma@half"])]
    assert methods_by_suite(registry, ["other"], ["alpha"]) == [("other", ["alpha"])]
    with pytest.raises(AmbiguousName, match="demo/alpha or other/alpha"):
        methods_by_suite(registry, [], ["alpha"])
    with pytest.raises(UnknownName, match="it belongs to other"):
        methods_by_suite(registry, ["demo"], ["gamma"])
    with pytest.raises(UnknownName, match="did you mean 'beta'"):
        methods_by_suite(registry, [], ["betta"])
    with pytest.raises(UnknownName, match="chosen suites"):
        methods_by_suite(registry, ["demo"], ["other/gamma"])


def test_changed_runs_what_is_touched_and_the_baseline_beside_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_checkout(tmp_path)
    monkeypatch.setattr("bench.cli.run.ROOT", root)
    monkeypatch.setattr("bench.cli.run.opened", registry_of)
    arguments = ("run", "--changed", "--scale", "tiny", "--dry-run")
    assert changes(root).files == ()
    assert output(capsys, *arguments).split() == []
    replace("half(task)", "half(half(task))", ALPHA)(root)
    assert output(capsys, *arguments).splitlines() == ["dense at half, seed 0", "alpha at half, seed 0"]
    assert refusal(capsys, *arguments, "--method", "beta") == "effbench: --changed chooses the methods: leave out " \
        "--method, or --changed\n"  # fmt: skip


def test_report_names_what_the_change_touches_by_content(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_checkout(tmp_path)
    monkeypatch.setattr("bench.cli.report.ROOT", root)
    monkeypatch.setattr("bench.cli.report.opened", lambda: registry_of(root))
    arguments = ("report", "--base", "main", "--results", str(tmp_path / "results"))
    move(root)
    assert output(capsys, *arguments) == "# No new records\n"
    replace("x + 1", "x + 2", "methods/_techniques/tool.py")(root)
    assert output(capsys, *arguments).endswith("## Touched, and not measured again\n\n- demo: dense\n")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of bad input, which ends with 2."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--timeout", "0"), "from 1 to 604800"),
        (("run", "--timeout", "soon"), "from 1 to 604800"),
        (("run", "--timeout", "nan"), "from 1 to 604800"),
        (("run", "--threads", "0"), "from 1 to 1024"),
        (("run", "--threads", "1.5"), "from 1 to 1024"),
        (("run", "--threads", "٣"), "from 1 to 1024"),
        (("run", "--threads", "1_0"), "from 1 to 1024"),
        (("run", "--seed", "-1"), "from 0 to 2.14748e09"),
        (("run", "--seed", "2147483648"), "from 0 to"),
        (("build", "x@y", "--output", "z", "--seed", "1e3"), "from 0 to"),
        (("tune", "x@y", "--seed", "-1"), "from 0 to"),
        (("audit", "--seed", "x"), "from 0 to"),
        (("nightly", "--threads", "2000"), "from 1 to 1024"),
        (("nightly", "--time", "-1h"), "expected one argument"),
        (("nightly", "--time=200h"), "from 0 to 168"),
        (("selfcheck", "--repeats", "0"), "from 1 to 100000"),
        (("audit", "--count", "0"), "from 1 to 100000"),
        (("verify", "x", "--threads", "-3"), "from 1 to 1024"),
    ],
)
def test_what_is_out_of_range_is_refused_with_the_range(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(capsys, *arguments).replace("+", "")


@pytest.mark.parametrize(
    "command", [
        "list", "show", "new", "check", "plan", "run", "report", "nightly", "verify", "audit", "selfcheck", "records",
        "site",
    ],
)  # fmt: skip
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    assert f"effbench {command}" in capsys.readouterr().out.split("examples:")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("audit", "--hardware", "cpu-amd-epic-1t"), "did you mean 'cpu-amd-epyc-1t'?"),
        (("records", "--suite", "operator-date"), "did you mean 'operator-data'?"),
        (("records", "--results", "nowhere"), "there are no records in nowhere"),
        (("audit", "--results", "nowhere"), "there are no records in nowhere"),
        (("site", "--output", "build/site", "--results", "nowhere"), "there is no folder"),
        (("site", "--output", __file__), "is no folder"),
        (("site", "--output", f"{__file__}/site"), "is no folder"),
        (("report", "--base", "HEAD", "--output", "tests"), "name a file in it"),
        (("records", "--results", __file__), "is no folder"),
    ],
)
def test_what_matches_nothing_is_told(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_run_that_failed_is_an_exit_code(
    toy_registry: Registry, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    others = ["--scale", "tiny", "--untimed", "--results", str(tmp_path)]
    cli.main(["run", "--method", "toy-large@unlimited", *others])
    assert "1 new records" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "--method", "toy-raise@unlimited", "--method", "toy-half@unlimited", *others])
    assert stopped.value.code == 1
    assert ", 1 of runs that failed" in capsys.readouterr().out


def test_a_port_that_is_taken_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cli.site.opened", lambda: registry_of(make_checkout(tmp_path / "checkout")))
    (tmp_path / "results").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as stopped:
            cli.main(
                [
                    "site",
                    "--output",
                    str(tmp_path / "site"),
                    "--results",
                    str(tmp_path / "results"),
                    "--serve",
                    str(port),
                ]
            )
    assert stopped.value.code == 2
    assert f"port {port} can't be had" in capsys.readouterr().err


def test_a_folder_that_is_named_twice_counts_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cli.site.opened", lambda: registry_of(make_checkout(tmp_path / "checkout")))
    store.append(tmp_path / "results", make_record("alpha", losses=[1.0, 2.0]))
    once = ["site", "--output", str(tmp_path / "site"), "--results", str(tmp_path / "results")]
    assert output(capsys, *once, "--results", f"{tmp_path}/checkout/../results").startswith("1 records;")
