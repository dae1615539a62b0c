"""Lines that are no records: every command that reads records names each, and does its work with the others."""

import contextlib
import gzip
import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.record import store
from bench.record.schema import Energy, Outcome, Record, Throughput
from bench.run.local import LocalExecutor
from tests.bench.analyse.record_factory import make_record

HERE = ("--suite", "operator-data", "--method", "gmres@darcy-none", "--scale", "tiny", "--threads", "1")
RECORD = make_record("odd", losses=[1.0] * 8, candidate=[1.0] * 8, baseline=[2.0] * 8).model_copy(
    update={
        "energy": {"decode": Energy(candidate=[1.0], baseline=[1.0], unit="token", source="rapl")},
        "throughput": {
            "decode": Throughput(
                unit="token", memory_limit_bytes=1e9, candidate_batch=1, baseline_batch=1, candidate=[1.0],
                baseline=[1.0], candidate_tried=[], baseline_tried=[],
            )
        },
    }
)  # fmt: skip
LINE = RECORD.model_dump_json()
TIMES = ("timings", "decode", "tpot")


def with_(*path: str, value: Any) -> bytes:
    """The line of the record with another value there."""
    changed = json.loads(LINE)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return json.dumps(changed).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in json.loads(LINE).items() if key != name}).encode()


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


NAN, INF = float("nan"), float("inf")
KINDS: dict[str, bytes] = {
    "cut": LINE[:-20].encode(),
    "cut-in-the-middle": LINE[: len(LINE) // 2].encode(),
    "one-character": b"{",
    "two-on-a-line": (LINE + LINE).encode(),
    "no-comma": LINE.replace(",", " ", 1).encode(),
    "in-single-quotes": LINE.replace('"', "'").encode(),
    "object-without-anything": b"{}",
    "list": b"[]",
    "list-of-a-record": f"[{LINE}]".encode(),
    "null": b"null",
    "number": b"1",
    "text": b'"record"',
    "html": b"<!doctype html><title>404</title>",
    "conflict-of-git": b"<<<<<<< HEAD",
    "pointer-of-lfs": b"version https://git-lfs.github.com/spec/v1",
    "without-id": without("id"),
    "without-environment": without("environment"),
    "field-too-many": with_("luck", value=1),
    "schema-of-tomorrow": with_("schema_version", value=2),
    "method-is-a-number": with_("method", value=1),
    "seed-is-a-half": with_("seed", value=0.5),
    "status-is-unknown": with_("status", value="great"),
    "status-is-null": with_("status", value=None),
    "failed-without-reason": with_("status", value="failed"),
    "quality-is-a-list": with_("quality", value=[]),
    "no-samples": with_("quality", "perplexity", "samples", value=[]),
    "samples-are-words": with_("quality", "perplexity", "samples", value=["good"]),
    "weights-are-fewer": with_("quality", "perplexity", "weights", value=[1.0]),
    "score-is-nan": with_("quality", "perplexity", "samples", value=[1.0, NAN]),
    "aggregate-is-unknown": with_("quality", "perplexity", "aggregate", value="median"),
    "figure-is-nan": with_("figures", "stored_ratio", value=NAN),
    "figure-is-below-zero": with_("figures", "stored_bytes", value=-1),
    "time-is-zero": with_(*TIMES, "candidate", value=[0.0] * 8),
    "time-is-below-zero": with_(*TIMES, "candidate", value=[-1.0] * 8),
    "time-is-nan": with_(*TIMES, "baseline", value=[NAN] * 8),
    "time-is-infinite": with_(*TIMES, "baseline", value=[INF] * 8),
    "times-are-fewer": with_(*TIMES, "candidate", value=[1.0]),
    "batch-takes-no-time": with_("throughput", "decode", "candidate", value=[0.0]),
    "no-joules": with_("energy", "decode", "candidate", value=[0.0]),
    "infinite-joules": with_("energy", "decode", "baseline", value=[INF]),
    "seconds-below-zero": with_("seconds", value=-1.0),
    "seconds-are-nan": with_("seconds", value=NAN),
    "seconds-are-null": with_("seconds", value=None),
    "built-before-it-began": with_("build", "seconds", value=-1.0),
    "started-is-empty": with_("started", value=""),
    "started-nowhere": with_("started", value="2025-01-01T00:00:00"),
    "started-tomorrow": with_("started", value=str(datetime.now(UTC) + timedelta(days=1))),
    "started-in-1969": with_("started", value="1969-07-20T20:17:00Z"),
    "started-in-10000": with_("started", value="10000-01-01T00:00:00Z"),
    "started-in-month-13": with_("started", value="2025-13-01T00:00:00Z"),
    "not-utf-8": LINE.replace("odd", "\xff").encode("latin-1"),
    "utf-16": LINE.encode("utf-16"),
    "lone-surrogate": with_("reason", value="\ud800"),
    "zeros": bytes(4096),
    "zipped": gzip.compress(LINE.encode()).replace(b"\n", b""),
    "deep": b"[" * 100_000,
    "deep-inside": with_("hyperparameters", value={"a": deep(900)}),
    "long": b"x" * (8 << 20),
    "long-number": LINE.replace('"seed":0', '"seed":' + "9" * 10_000).encode(),
}
"""Each is a file with this line, and a good record of its own before and after it."""
PLACES: dict[str, Callable[[Path], Any]] = {
    "a-folder": Path.mkdir,
    "a-link-to-nothing": lambda path: path.symlink_to("nowhere"),
    "a-link-to-itself": lambda path: path.symlink_to(path.name),
    "a-pipe": os.mkfifo,
}
"""What stands in the place of a file."""
READERS: dict[str, list[str]] = {
    "records": ["records"],
    "records as JSON": ["records", "--json"],
    "report": ["report", "--base", "HEAD"],
    "site": ["site"],
    "plan": ["plan", *HERE[:6]],
    "run": ["run", *HERE],
    "nightly": ["nightly", *HERE, "--time", "60s"],
    "verify": ["verify"],
    "audit": ["audit", "--count", "200"],
}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All kinds, among good records. No run takes place."""
    monkeypatch.setattr(
        LocalExecutor, "execute", lambda *_: (Outcome(status="unsupported", reason="no run takes place"), "")
    )
    folder = tmp_path / "results" / "cpu-test" / "demo"
    folder.mkdir(parents=True)
    for kind, line in KINDS.items():
        good = [make_record(kind, losses=[1.0] * 8, seed=seed).model_dump_json().encode() for seed in (0, 1)]
        (folder / f"{kind}.jsonl").write_bytes(b"\n".join([good[0], line, b"", good[1]]) + b"\n")
    for kind, make in PLACES.items():
        make(folder / f"{kind}.jsonl")
    return tmp_path / "results"


def test_each_is_told_apart_from_the_records_around_it(results: Path) -> None:
    records, broken = store.read_all(results)
    assert sorted((each.path.stem, each.line) for each in broken) == sorted(
        [(kind, 2) for kind in KINDS] + [(kind, 0) for kind in PLACES]
    )
    assert {(record.method, record.seed) for record in records} == {(kind, seed) for kind in KINDS for seed in (0, 1)}
    assert all(len(str(each)) < 400 + len(str(each.path)) for each in broken)


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_names_them_and_goes_on(
    reader: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*READERS[reader], "--results", str(results)]
    if reader == "site":
        command += ["--output", str(tmp_path / "site")]
    if reader == "verify":
        command.insert(1, store.read_all(results)[0][0].id)
    code: Any = 0
    with contextlib.suppress(SystemExit):
        try:
            cli.main(command)
        except SystemExit as stopped:
            code = stopped.code
            raise
    said = capsys.readouterr()
    for kind in KINDS:
        assert said.err.count(f"/{kind}.jsonl:2: ") == 1, (kind, said.err)
    for kind in PLACES:
        assert said.err.count(f"/{kind}.jsonl:0: ") == 1, (kind, said.err)
    assert "Traceback" not in said.err
    assert code in ({2} if reader == "verify" else {0, 1, 2} if reader == "audit" else {0})
    if reader == "records":
        assert said.out.count(" half ") == 2 * len(KINDS)
    if reader == "records as JSON":
        assert len(json.loads(said.out)) == 2 * len(KINDS)
    if reader == "site":
        text = (tmp_path / "site/index.html").read_text()
        assert all(f"{kind}.jsonl:2: " in text for kind in KINDS)
        assert f"{2 * len(KINDS)} records" in said.out
    if reader in ("run", "nightly"):
        assert [record.method for record in store.read_all(results)[0] if record.suite == "operator-data"] == ["gmres"]


def test_a_copied_line_is_told_once(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results / "cpu-test" / "demo"
    (folder / "again.jsonl").write_bytes(b"\n".join([KINDS["cut"], KINDS["cut"] + b" ", KINDS["deep"]]) + b"\n")
    cli.main(["records", "--results", str(results)])
    said = capsys.readouterr().err
    assert said.count("broken record") == len(KINDS) + len(PLACES)


def test_a_socket_in_the_place_of_a_file_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # its path has to be short
    folder = tmp_path / "r" / "a" / "b"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("r/a/b/x.jsonl")
        [broken] = store.read_all(tmp_path / "r")[1]
    assert broken.reason == "can't be read: it is no file"


@pytest.mark.parametrize(
    "changes",
    [
        {"log": "\x00\x1b[31m\u202e::error::x"},
        {"hyperparameters": {"a": deep(50)}},
        {"seed": 10**30},
        {"figures": {"stored_ratio": 1e308}},
        {"figures": {"stored_ratio": 5e-324}},
        {"method": "../../x", "variant": "", "point": "\n", "base": "", "scale": "none"},
        {
            "environment": {
                **json.loads(LINE)["environment"],
                "commit": "--output=x\x00",
                "threads": -1,
                "cores": 10**30,
            }
        },
    ],
)
def test_what_is_odd_and_yet_a_record_stops_nobody(changes: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "results/cpu-test/demo"
    folder.mkdir(parents=True)
    odd = Record.model_validate(json.loads(LINE) | changes)
    (folder / "x.jsonl").write_text(f"{odd.model_dump_json()}\n{make_record(losses=[1.0] * 8).model_dump_json()}\n")
    for reader, command in READERS.items():
        if reader in ("records", "records as JSON", "report", "plan", "site"):
            more = ["--output", str(tmp_path / "site")] if reader == "site" else []
            cli.main([*command, "--results", str(tmp_path / "results"), *more])
