"""Records, cards and logs come from strangers: no text of theirs becomes markup, a script, a formula or a path."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.contract import Claim
from bench.publish.paths import safe_url
from bench.record.schema import Record
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import (
    HALF,
    RECORDS,
    REGISTRY,
    Page,
    build,
    losses,
    make_method,
    make_registry,
    pages,
    times,
)

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
FORMULA = "=cmd|' /C calc'!A0"


def harmless(path: Path) -> None:
    """No script but our own files, no image, no handler, no address but relative ones and the web."""
    page = Page(path)
    policy = [
        attrs["content"] or "" for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policy) == 1
    assert "unsafe" not in policy[0]
    assert policy[0].startswith("default-src 'none'; script-src 'self'")
    for tag, attrs in page.tags:
        assert tag not in ("img", "iframe", "object", "embed", "base", "style", "form")
        assert not any(name.startswith("on") or name == "style" for name in attrs)
        if tag == "script":
            inside = (attrs["src"] or "").lstrip("./")
            ours = ("data/boards.js", "data/which.js", f"{path.stem}.js", f"{path.stem}.1.js")
            assert inside.startswith(("assets/", "data/which/")) or inside in ours
        for name in ("href", "src"):
            address = (attrs.get(name) or "").strip().lower()
            assert ":" not in address.split("/")[0].split("#")[0] or address.startswith(("https://", "http://")), (
                address
            )
    assert page.source.count("<script") == sum(tag == "script" for tag, _ in page.tags)


def strings(record: Record, text: str) -> Record:
    """The record with an attack in every free text."""
    environment = record.environment.model_copy(
        update={"cpu": text, "gpu": text, "commit": text, "versions": {text: text}, "device": {text: text}}
    )
    names = (
        "id",
        "suite_version",
        "method",
        "variant",
        "point",
        "scale",
        "base",
        "hardware",
        "reason",
        "log",
        "command",
    )
    changes: dict[str, Any] = dict.fromkeys(names, text)
    quality = {**record.quality, text: next(iter(record.quality.values()))} if record.quality else {}
    figures = {**record.figures, text: 1.0}
    timings = {**record.timings, text: {text: record.timings["decode"]["tpot"]}}
    more = {"environment": environment, "quality": quality, "figures": figures, "timings": timings}
    return record.model_copy(update=changes | more | {"hyperparameters": {text: text}})


@pytest.mark.parametrize("status", ["ok", "failed"])
@pytest.mark.parametrize("suite", ["demo", EVIL])
def test_no_text_of_a_record_becomes_markup_or_leaves_the_folder(tmp_path: Path, status: str, suite: str) -> None:
    record = strings(make_record(losses=losses(0), status=status, suite=suite, **times(0.5)), EVIL)
    other = record.model_copy(update={"method": "../../escape", "hardware": "../..", "id": "../x"})
    built = build([record, other, *RECORDS], REGISTRY, tmp_path)
    assert built.broken == []
    assert {path.name for path in tmp_path.iterdir()} == {"site", "results"}
    assert sum(EVIL in Page(path).text for path in pages(tmp_path / "site")) > 3
    for path in pages(tmp_path / "site"):
        harmless(path)
    for path in (tmp_path / "site/suites").rglob("*.js"):
        assert "<" not in path.read_text()


def test_no_cell_of_a_table_is_a_formula(tmp_path: Path) -> None:
    record = strings(make_record(losses=losses(0), status="failed", suite="demo", **times(0.5)), FORMULA)
    build([record.model_copy(update={"suite_version": "1"}), *RECORDS], REGISTRY, tmp_path)
    tables = [path.read_text() for path in (tmp_path / "site").rglob("*.csv")]
    assert any("cmd|" in text for text in tables)
    for text in tables:
        assert not any(cell.startswith(("=", '"=')) for line in text.splitlines() for cell in line.split(","))


def test_no_text_of_a_card_or_a_suite_becomes_markup(tmp_path: Path) -> None:
    claims = (Claim(EVIL, EVIL, EVIL, paper_value=EVIL),)
    method = make_method("alpha", text=EVIL, title=EVIL, paper=EVIL, notes=EVIL, claims=claims)
    object.__setattr__(method.card, "url", "javascript:alert(1)")
    registry = make_registry(method, title=EVIL, summary=EVIL, notice=EVIL)
    build(RECORDS, registry, tmp_path)
    for path in pages(tmp_path / "site"):
        harmless(path)
    assert EVIL in Page(tmp_path / "site/methods/demo/alpha.html").text


def line(**changes: Any) -> str:
    return json.dumps(json.loads(make_record("odd", losses=losses(0)).model_dump_json()) | changes) + "\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("\x00\xff\n", "not JSON"),
        (line(started="2025-01-01T00:00:00"), "time zone"),
        (line(schema_version=9), "schema version"),
        (line(luck=1), "luck"),
        (line(quality={"perplexity": {"samples": []}}), "no samples"),
        (line(quality={"perplexity": {"samples": [1, 2], "weights": [1]}}), "1 weights for 2 samples"),
        (line(quality={"accuracy": {"samples": []}}), "no samples"),
        (line(seed=10**30), "Parquet"),
    ],
)
def test_a_broken_record_is_listed_and_the_rest_is_built(tmp_path: Path, text: str, why: str) -> None:
    folder = tmp_path / "results/cpu-test/demo"
    folder.mkdir(parents=True)
    (folder / "odd.jsonl").write_text(text, encoding="latin-1")
    built = build(RECORDS, REGISTRY, tmp_path)
    assert any("odd" in row for row in [Page(built.index).text])
    assert why in Page(built.index).text
    assert "alpha" in Page(tmp_path / f"site/{HALF}.html").row("alpha")


@pytest.mark.parametrize(
    "times_", [[0.0] * 8, [-1.0] * 8, [float("nan")] * 8, [float("inf")] * 8, [1e308] * 8, [1e-320] * 8]
)
def test_times_that_cannot_be_do_not_stop_the_build(tmp_path: Path, times_: list[float]) -> None:
    record = make_record(
        "odd", losses=[1e308] * 60, candidate=times_, baseline=[1.0] * 8, figures={"stored_ratio": 1e308}
    )
    records = [record.model_copy(update={"seed": seed}) for seed in range(3)]
    build([*records, *RECORDS], REGISTRY, tmp_path)
    assert "alpha" in Page(tmp_path / f"site/{HALF}.html").row("alpha")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://arxiv.org/abs/1", True),
        ("http://a.b/c", True),
        ("javascript:alert(1)", False),
        (" JavaScript:alert(1)", False),
        ("data:text/html,x", False),
        ("//evil.example", False),
        ("https:", False),
        ("http://[", False),
        (None, False),
    ],
)
def test_only_web_addresses_become_links(url: str | None, good: bool) -> None:
    assert (safe_url(url) is not None) is good
