"""What is printed is words: no command obeys or steers, in whatever locale."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.cli.common import print_json
from bench.contract.cache import CacheNotWritable, cache_root, check_cache
from bench.record import store
from bench.record.plain import Plainly, is_one_command, one_line, plain, printed_plainly, terminal
from bench.registry import Registry
from bench.run.plan import Job
from tests.bench.analyse.record_factory import make_record

ROOT = Path(__file__).resolve().parents[2]

NASTY = (
    "::error::a", "\n::set-output name=x::y", "a\r::add-mask::b", " \t::stop-commands::z", "x ##[error]y",
    "##vso[task.setvariable variable=a]b", "##teamcity[x]", "\x1b[2J\x1b]0;title\x07", "\x9b31m", "\u202egnp.exe",
    "\u2028::error::c", "\u2066x", "\x00\x08\x7f", "\u3000::warning::d", "\v::debug::e", "\f::group::f",
)  # fmt: skip


def obeyed(text: str) -> list[str]:
    """Lines that GitHub's runner, or another's, or a terminal, would take for more than words."""
    found = [line for line in text.splitlines() if line.strip().startswith("::")]
    found += [line for line in text.splitlines() if any(mark in line for mark in ("##[", "##vso[", "##teamcity["))]
    steering = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u2028\u2029\u202d\u202e\u2066\u2067"} - {
        *"\n\t"
    }
    return found + sorted(steering & set(text))


@pytest.mark.parametrize("text", NASTY)
def test_no_words_of_others_are_obeyed(text: str) -> None:
    assert obeyed(text)
    assert obeyed(plain(text)) == obeyed(one_line(text)) == []
    out = io.StringIO()
    printed = Plainly(out)
    print("before", file=printed)
    print(text, text, sep="\n", file=printed)
    assert obeyed(out.getvalue()) == []


@pytest.mark.parametrize(
    "text", ["a: b::c\n\ttorch::add\n## Head [1]\n", "naïve → ✓ 漢字 &#64;\u2060name", "", "# [x]"]
)
def test_words_stay_as_they_are(text: str) -> None:
    out = io.StringIO()
    Plainly(out).write(text)
    assert plain(text) == out.getvalue() == text


def test_a_command_in_the_middle_of_a_line_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with printed_plainly():
        print("failed (", end="")
        print("::error::x)")
        print("  ", end="")
        print("::error::y")
    assert capsys.readouterr().out == "failed (::error::x)\n  : :error::y\n"


def test_who_draws_on_a_terminal_reaches_it(capsys: pytest.CaptureFixture[str]) -> None:
    behind = sys.stderr
    with printed_plainly():
        assert sys.stderr is not behind
        assert terminal(sys.stderr) is behind is terminal(behind)
    assert sys.stderr is behind


def test_json_stays_json_and_is_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"reason": list(NASTY)}
    print_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == value
    assert obeyed(text) == []


@pytest.mark.parametrize("text", NASTY)
def test_records_of_others_are_listed_plainly(text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record = make_record("alpha", losses=[1.0, 2.0], status="failed", reason=f"why {text}")
    odd = record.model_copy(update={"suite": text, "method": text, "variant": text, "point": text, "id": text})
    store.append(tmp_path, record)
    (tmp_path / record.hardware / record.suite / "odd.jsonl").write_text(odd.model_dump_json() + "\n")
    (tmp_path / record.hardware / record.suite / "bad.jsonl").write_text(f"{text}\n")
    for more in ((), ("--json",)):
        cli.main(["records", "--results", str(tmp_path), *more])
        said = capsys.readouterr()
        assert "why" in said.out
        assert "broken record" in said.err
        assert obeyed(said.out) == obeyed(said.err) == []


@pytest.mark.parametrize("text", [text for text in NASTY if "\0" not in text])
def test_names_that_are_refused_are_told_plainly(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("show", text), ("list", "--suite", text), ("records", "--results", text), (text,), ("run", text)):
        with pytest.raises(SystemExit) as stopped:
            cli.main(words)
        assert stopped.value.code == 2
        said = capsys.readouterr()
        assert obeyed(said.out) == obeyed(said.err) == []


def test_what_fails_and_what_is_interrupted_is_told_plainly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(error: BaseException) -> tuple[object, str]:
        def fail() -> Registry:
            raise error

        monkeypatch.setattr("bench.cli.list.opened", fail)
        with pytest.raises(SystemExit) as stopped:
            cli.main(["list"])
        said = capsys.readouterr()
        assert obeyed(said.out + said.err) == []
        return stopped.value.code, said.err

    code, said = asked(ValueError("x\n::error::y\x1b[2J"))
    assert code == 1
    assert "Traceback" in said
    assert asked(KeyboardInterrupt()) == (130, "effbench: stopped\n")
    assert asked(PermissionError(13, "Permission denied", "/a\n::error::b"))[0] == 2
    code, said = asked(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert (code, said.split(":")[1].strip()) == (2, "torch is not installed here")
    assert "Traceback" in asked(ModuleNotFoundError("No module named 'bench.x'", name="bench.x"))[1]


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("/models/my model; touch x", "'/models/my model; touch x'"), ("$(touch x)", "'$(touch x)'"),
        ("a'b", "'a'\"'\"'b'"), ("`x`", "'`x`'"), ("a&b|c>d", "'a&b|c>d'"), ("*", "'*'"), ("~/m", "'~/m'"),
        ("#x", "'#x'"), ("ü", "'ü'"),
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
    ],
)  # fmt: skip
def test_a_command_that_people_paste_is_one_command(name: str, quoted: str) -> None:
    job = Job("s", "p", "m", "default", "at", "full", name, 0, "cpu", 1)
    assert f" --base {quoted} " in job.command
    odd = Job(name, "p", name, name, name, name, name, 0, name, 1, workloads=(name,))
    assert is_one_command(job.command)
    assert is_one_command(odd.command)


@pytest.mark.parametrize(
    "text",
    ["", "effbench run; touch x", "effbench run $(x)", "curl x | sh", "effbench run\ntouch x", "effbench run 'x",
     "x effbench", "effbench run `x`", "effbench run --base ~/x", "effbench run  --again", "effbench run > x"],
)  # fmt: skip
def test_what_is_no_single_command_is_found(text: str) -> None:
    assert not is_one_command(text)


def in_ascii(*words: str) -> subprocess.CompletedProcess[bytes]:
    """As a person has it whose locale is ASCII and whose Python goes by that."""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "bench.cli", *words]
    return subprocess.run(command, cwd=ROOT, env=os.environ | locale, capture_output=True, check=False)


def test_a_locale_without_letters_is_no_obstacle(tmp_path: Path) -> None:
    results = tmp_path / "größe ✓"
    store.append(results, make_record("alpha", losses=[1.0, 2.0], status="failed", reason="naïve → ✓"))
    for words in (("show", "flap"), ("records", "--results", str(results))):
        done = in_ascii(*words)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.isascii()
    report = tmp_path / "bericht ü.md"
    done = in_ascii("report", "--base", "HEAD", "--results", str(results), "--output", str(report))
    assert (done.returncode, done.stderr.count(b"Traceback")) == (0, 0)
    text = report.read_text(encoding="utf-8")
    assert "refused: alpha" in text
    assert not text.isascii()


def test_a_cache_that_cannot_be_kept_is_told_before_any_run(
    toy_registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path / "file/cache"))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "--method", "toy-half@unlimited", "--scale", "tiny", "--results", str(tmp_path / "results")])
    assert stopped.value.code == 2
    assert "name another folder by EFFBENCH_CACHE" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path / "new"))
    check_cache()
    assert list((tmp_path / "new").iterdir()) == []


def test_without_a_home_the_cache_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("EFFBENCH_CACHE", raising=False)
    with pytest.raises(CacheNotWritable, match="EFFBENCH_CACHE"):
        cache_root()
