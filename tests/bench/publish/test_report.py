"""The report of a pull request: what it says of new records, and that no text in them can break it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import cli
from bench.publish.markdown import code, escaped
from bench.publish.report import MOST, make_report
from bench.publish.revision import UnknownRevision, records_at
from bench.record import store
from bench.record.schema import Record
from bench.registry.metrics import Metric
from tests.bench.analyse.record_factory import COSTS, make_problem, make_record
from tests.bench.publish.site_factory import make_method, make_registry

NASTY = "|x| `y` @person #12 https://evil.example/a <img src=x onerror=alert(1)> [a](b) **b** _c_ $z$\n\n# head -->"
TIMES = {"candidate": [0.5 + 0.001 * i for i in range(20)], "baseline": [1.0] * 20}


def registry(**changes: Any) -> Any:
    """A registry of one suite; dense and magnitude are controls."""
    controls = (make_method(slug, control=True, claims=()) for slug in ("dense", "magnitude"))
    return make_registry(*controls, **changes)


def losses(level: float) -> list[float]:
    return [level + 0.01 * (i % 7) for i in range(40)]


BASE = [
    make_record("dense", losses=losses(1.0), candidate=[1.0, 1.01] * 10, baseline=[1.0] * 20),
    make_record("magnitude", losses=losses(2.0), **TIMES),
    make_record("alpha", losses=losses(1.5), age=9, **TIMES),
]


def report(
    *new: Record,
    base: list[Record] = BASE,
    broken: tuple[str, ...] = (),
    touched: dict[str, list[str]] | None = None,
) -> str:
    return make_report(base, [*base, *new], broken, registry(), touched or {})


def test_nothing_new_says_so() -> None:
    assert report() == "# No new records\n"


def test_new_method_stands_against_baseline_and_controls() -> None:
    text = report(make_record("beta", losses=losses(1.2), **TIMES))
    assert text.startswith("# 1 new record of 1 method")
    assert "**beta** (1 seed ok, new)" in text
    assert "beats 1 of 2, not dense" in text
    assert re.search(r"Time per token: 0\.5\d+× \[.*\] \(better\)", text)
    assert "alpha" not in text.split("## demo")[1]  # it has no new record


def test_changed_record_is_compared_with_the_base_item_by_item() -> None:
    worse = report(make_record("alpha", losses=losses(1.8), **TIMES))
    assert re.search(r"against the base: −3\d\.\d.%.*\(\*\*worse\*\*\)", worse)
    same = report(make_record("alpha", losses=losses(1.5), **TIMES))
    assert "against the base: +0.0" in same
    assert "(the same)" in same


def test_who_comes_to_the_frontier_and_who_leaves_it() -> None:
    best = make_record("beta", losses=losses(0.5), candidate=[0.1] * 20, baseline=[1.0] * 20)
    text = report(best)
    assert "; the frontier moved" in text.splitlines()[0]
    assert re.search(r"beta came; .*alpha.* left", text)
    poor = make_record("beta", losses=losses(9.0), candidate=[3.0, 3.1] * 10, baseline=[1.0] * 20)
    poor = poor.model_copy(update={"figures": {"stored_ratio": 0.9}})
    assert "did not move" in report(poor).splitlines()[0]


def test_failures_are_listed_with_reason_and_command_and_cannot_break_the_page() -> None:
    text = report(make_record(NASTY, status="failed", reason=NASTY, point=NASTY, command=NASTY))
    assert "1 not ok" in text.splitlines()[0]
    for dangerous in ("<img", "`y`", "@person", " #12", "https://evil", "[a](b)", "|x|", "-->", "\n# head"):
        assert dangerous not in text


ATTACKS = {
    "&#64;name": "&#64;",
    "&commat;name": "&commat;",
    "@name": "@name",
    "![](https://evil.example/a.png)": "](",
    "[look](javascript:alert(1))": "](",
    "<img src=x onerror=alert(1)>": "<img",
    "<!-- effbench report -->": "<!--",
    "www.evil.example": "www.evil",
    "https://evil.example": "https://evil",
    "someone@evil.example": "@evil",
    "owner/repo#1": "repo#1",
    "GH-1": None,
    "a `code` ``more``": "`code`",
    "| a | b |\n|---|---|": "| a |",
    "\n# Head\n- [ ] done": "\n# Head",
    "\u2028::error::x": "\u2028",
    "\x1b[31mred": "\x1b",
    "\u202eback": "\u202e",
    ":tada:": ":tada:",
    "~~struck~~": "~~",
    "$x^2$": "$x",
    "\\[x\\]": "\\[",
    "[^1]: note": "[^1]",
}
"""Text in a record, and what of it must not be in Markdown."""


def attacked(record: Record, text: str) -> Record:
    """The record with the text as every text in it that it is free to choose, units among them."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: value[name] if name in FIXED else changed(value[name]) for name in value}
        return text if isinstance(value, str) else value

    return Record.model_validate(changed(record.model_dump()))


FIXED = {"status", "started", "suite", "suite_version", "aggregate", "isolation", "method", "variant", "point"}


@pytest.mark.parametrize("status", ["ok", "failed"])
@pytest.mark.parametrize("text", ATTACKS)
def test_no_text_of_a_record_is_more_than_text(text: str, status: str) -> None:
    speed = Metric("decode.tpot.per_second", "Tokens per second", better="higher", primary=True)
    problem = make_problem("main", costs=(*COSTS, speed))
    with_speed = make_registry(*(make_method(slug, control=True) for slug in ("dense", "magnitude")), problems={
        "main": problem, "other": make_problem("other")})  # fmt: skip
    plain = make_record("beta", losses=losses(1.2), status=status, reason="no" if status != "ok" else None, **TIMES)
    for new in (attacked(plain, text), plain.model_copy(update={"method": text, "variant": text, "point": text})):
        told = make_report(BASE, [*BASE, new], [f"{text}:1: {text}"], with_speed, {"demo": [text], text: [text]})
        assert "1 new record" in told
        assert "Tokens per second" in told or status != "ok" or new.point == text
        for line in told.splitlines():
            assert not re.match(r"\s*(::|\[)", line)
        bad = ATTACKS[text]
        assert bad is None or bad not in re.sub(r"(`+) effbench [^`]* \1", "", told)


def test_what_a_submission_uploads_is_read_as_records_and_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its workflow may be changed, so that anything may lie in the folder: comment.yml gives it to this command."""
    uploaded = tmp_path / "records"
    folder = uploaded / "cpu-test" / "demo"
    folder.mkdir(parents=True)
    for path in (uploaded / "report.md", folder / "report.md", uploaded / "report.jsonl", folder / "x.jsonl.md"):
        path.write_text("@name wins! ![](https://evil.example/a.png)")
    (folder / "bad.jsonl").write_text("@name wins! ![](https://evil.example/a.png)\n")
    (folder / "deep.jsonl").write_text("[" * 100_000)
    (folder / "binary.jsonl").write_bytes(bytes(range(256)) * 10)
    (folder / "folder.jsonl").mkdir()
    (folder / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    good = make_record("beta", losses=losses(1.2), status="failed", reason="@name ![](https://evil.example)")
    store.append(uploaded, good)
    cli.main(["report", "--base", "HEAD", "--results", str(uploaded), "--output", str(tmp_path / "report.md")])
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# No new records\n\n## To be mended")
    assert text.count("- broken: ") >= 5
    assert "- refused: beta at half" in text  # of a suite that is not registered here
    for name in ("bad", "deep", "binary", "folder", "gone"):
        assert f"{name}.\N{WORD JOINER}jsonl" in text
    assert not re.search(r"@name|!\[|evil\.example", text)


def test_records_that_are_gone_and_lines_that_are_broken_are_told_first() -> None:
    text = make_report(BASE, BASE[1:], ["a.jsonl:3: not JSON"], registry(), {})
    assert "1 records of the base are gone" in text
    assert "a.jsonl" in text.replace("\N{WORD JOINER}", "")


def test_a_record_that_makes_no_sense_is_refused_and_counts_nowhere() -> None:
    odd = make_record("beta", losses=losses(0.1), build=None, **TIMES)
    text = report(odd, make_record("gamma", losses=losses(1.2), **TIMES))
    assert text.startswith("# 1 new record of 1 method")
    assert "- refused: beta at half, seed 0: nothing was built, and the status is ok" in text
    assert "**beta**" not in text
    assert report(odd).startswith("# No new records\n\n## To be mended")


def test_a_record_under_the_id_of_another_is_refused() -> None:
    text = report(make_record("beta", losses=losses(0.1), id=BASE[0].id, **TIMES))
    assert "taken by a record of dense at half" in text
    assert text.startswith("# No new records")
    worse = BASE[0].model_copy(update={"figures": {"stored_ratio": 0.1}})
    assert "is taken" in make_report(BASE, [worse, *BASE[1:]], [], registry(), {})


def test_a_commit_that_nobody_knows_is_refused() -> None:
    new = make_record("beta", losses=losses(1.2), **TIMES)
    commit = new.environment.commit or ""
    assert "refused" not in make_report(BASE, [*BASE, new], [], registry(), {}, frozenset({commit}))
    text = make_report(BASE, [*BASE, new], [], registry(), {}, frozenset({"0" * 40}))
    assert "is not in the history of this code" in text


def test_what_is_to_be_mended_is_cut_where_it_is_long() -> None:
    odd = [make_record(f"m{i}", losses=losses(1.0), build=None) for i in range(50)]
    text = make_report(BASE, [*BASE, *odd], ["a.jsonl:3: not JSON"] * 30, registry(), {})
    assert text.count("- refused: ") == text.count("- broken: ") == 20
    assert "- and 40 more" in text


def test_what_is_touched_and_not_measured_again_is_told() -> None:
    new = make_record("beta", losses=losses(1.2), **TIMES)
    text = report(new, touched={"demo": ["alpha", "beta"], "other": ["gamma_x"]})
    left = text.split("## Touched, and not measured again")[1]
    assert "- demo: alpha\n- other: gamma" in left
    assert "beta" not in left
    assert "Touched" not in report(new, touched={"demo": ["beta"]})


def test_report_fits_into_a_comment_and_says_what_it_left_out() -> None:
    text = report(*(make_record(f"m{i}", losses=losses(1.0), **TIMES) for i in range(400)))
    assert len(text) < MOST + 200
    assert "more parts" in text.splitlines()[-1]


@given(st.text(max_size=60))
def test_escaped_text_is_one_line_without_markup(text: str) -> None:
    for safe in (escaped(text), code(text).removeprefix("<code>").removesuffix("</code>")):
        assert not re.search(r"[\\`*_{}\[\]()<>|~$\n\r]|&(?!#\d+;|amp;)|@|(?<!&)#", safe)
        assert "://" not in safe


def test_escaped_text_reads_as_it_was() -> None:
    assert escaped("attention-drop at size-75, 3.5 %") == "attention-drop at size-75, 3.5 %"
    assert escaped("a " * 500, most=20).endswith("…")


def test_records_of_a_commit_are_those_of_the_commit(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    results = tmp_path / "results"
    store.append(results, BASE[0])
    git("add", ".")
    git("commit", "-m", "one")
    store.append(results, BASE[1])
    assert [record.id for record in records_at(tmp_path, results, "HEAD")] == [BASE[0].id]
    assert records_at(tmp_path, tmp_path / "other", "HEAD") == []
    for wrong in ("nowhere", "--output=x"):
        with pytest.raises(UnknownRevision, match="fetch it first"):
            records_at(tmp_path, results, wrong)
