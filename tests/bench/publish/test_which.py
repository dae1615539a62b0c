"""The front page's answers: what is named, what is not, and why."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.contract import Limits, OperatingPoint
from bench.record.schema import Record
from bench.registry import Registry
from bench.registry.metrics import Metric
from tests.bench.analyse.record_factory import COSTS, make_problem, make_record
from tests.bench.publish.site_factory import REGISTRY, Page, build, losses, make_method, make_registry, times


def read(site: Path, name: str) -> Any:
    """What a script of data leaves in its variable."""
    text = (site / name).read_text()
    return json.loads(text[text.index("]=") + 2 : -2])


def questions(records: Sequence[Record], folder: Path, registry: Registry = REGISTRY) -> dict[tuple[str, str], Any]:
    """Answers by goal and hardware."""
    site = build(records, registry, folder).index.parent
    (subject, *_) = read(site, "data/which.js")["subjects"]
    answers = read(site, subject["file"])
    return {(each["goal"], each["hardware"]): answers[each["id"]] for each in subject["questions"]}


def names(step: Any) -> list[str]:
    return [pick["name"] for pick in step["first"]]


DENSE = make_record("dense", losses=losses(0), figures={"stored_ratio": 1.0}, point="all", **times(1.0))


def test_the_best_within_the_budget_is_named_with_its_margin_over_the_best_control(tmp_path: Path) -> None:
    records = [DENSE, make_record("alpha", losses=losses(0.2)), make_record("random", losses=losses(0.5, 1))]
    asked = questions(records, tmp_path)["smaller", ""]
    half = [step for step in asked["steps"] if step["limit"] <= 0.5][-1]
    assert names(half) == ["alpha"]
    assert (half["control"], half["of"]) == ("random", 2)
    (pick,) = half["first"]
    assert pick["margin"]["word"] == "better"
    assert pick["dense"].endswith("worse")
    assert asked["dense"]["text"] == pick["score"]["text"] or asked["baseline"] == "dense"
    page = Page(tmp_path / "site/index.html")
    assert "Half the bytes" in page.text
    assert "best of 2 within the limit" in " ".join(page.text.split())


def test_two_that_are_not_told_apart_have_no_winner(tmp_path: Path) -> None:
    records = [DENSE, *(make_record(n, losses=losses(0.2, s)) for n, s in (("alpha", 1), ("beta", 2)))]
    asked = questions(records, tmp_path)["smaller", ""]
    assert sorted(names(asked["steps"][0])) == ["alpha", "beta"]
    assert re.search(r"(alpha and beta|beta and alpha) are not told apart", Page(tmp_path / "site/index.html").text)


def test_a_stale_result_is_never_named(tmp_path: Path) -> None:
    records = [
        make_record("alpha", losses=losses(0.1), key="old", **times(0.5)),
        make_record("beta", losses=losses(0.9), **times(0.9)),
    ]
    found = questions(records, tmp_path)
    assert [names(step) for step in found["smaller", ""]["steps"]] == [["beta"]]
    assert [names(step) for step in found["faster", "cpu-test"]["steps"]] == [["beta"]]
    assert found["smaller", ""]["stale"] == 1
    (tmp_path / "other").mkdir()
    alone = questions(records[:1], tmp_path / "other")["smaller", ""]
    assert alone["steps"] == []
    assert "no result of today's code; 1 stale" in Page(tmp_path / "other/site/index.html").text


def test_what_is_no_better_than_guessing_is_never_named(tmp_path: Path) -> None:
    floored = make_problem("main", scores=(Metric("perplexity", "Perplexity", primary=True, floor=30.0),))
    registry = make_registry(
        make_method("alpha"), make_method("dense", control=True, claims=()),
        problems={"main": floored, "other": make_problem("other")},
    )  # fmt: skip
    records = [make_record("alpha", losses=losses(2.0))]  # perplexity about 150
    assert questions(records, tmp_path, registry)["smaller", ""]["steps"] == []
    assert "no method is better than guessing" in Page(tmp_path / "site/index.html").text


def test_a_reference_is_never_named(tmp_path: Path) -> None:
    registry = make_registry(
        make_method("alpha"), make_method("oracle", control=True, reference=True, claims=()),
        make_method("dense", control=True, claims=()),
    )  # fmt: skip
    records = [make_record("oracle", losses=losses(0)), make_record("alpha", losses=losses(0.5))]
    assert [names(s) for s in questions(records, tmp_path, registry)["smaller", ""]["steps"]] == [["alpha"]]


def test_a_speed_is_asked_for_on_each_hardware_and_a_score_once(tmp_path: Path) -> None:
    records = [
        make_record("alpha", losses=losses(0.1), **times(0.5)),
        make_record("alpha", losses=losses(0.1), hardware="nvidia-test", **times(0.8)),
        make_record("beta", losses=losses(0.3)),
    ]
    found = questions(records, tmp_path)
    assert sorted(found) == [("faster", "cpu-test"), ("faster", "nvidia-test"), ("smaller", "")]
    assert (found["faster", "cpu-test"]["measured"], found["faster", "cpu-test"]["of"]) == (1, 2)
    (step,) = found["faster", "cpu-test"]["steps"]
    assert step["limit"] == pytest.approx(0.5, rel=0.02)
    (pick,) = found["smaller", ""]["steps"][-1]["first"]
    speeds = {each["hardware"]: each["speeds"][0]["text"] for each in pick["speeds"]}
    assert speeds == {"cpu-test": "2×", "nvidia-test": "1.25×"}
    text = " ".join(Page(tmp_path / "site/index.html").text.split())
    assert "nothing measured is within it; the nearest is alpha at 1.25×. Measured: 1 of 2" in text


def test_budgets_on_getting_there_are_asked_for_too(tmp_path: Path) -> None:
    points = {
        name: OperatingPoint(name, name, "main", Limits(supplies={"training_tokens": tokens}))
        for name, tokens in (("half", 100), ("all", 1000))
    }
    registry = make_registry(make_method("alpha"), make_method("dense", control=True, claims=()),
                             points=points, problems={"main": make_problem("main", costs=COSTS[:1])})  # fmt: skip
    records = [make_record("alpha", losses=losses(0.5)), make_record("alpha", losses=losses(0.1), point="all")]
    asked = questions(records, tmp_path, registry)["passes", ""]
    assert [(step["limit"], step["first"][0]["point"]) for step in asked["steps"]] == [(100.0, "half"), (1000.0, "all")]
    assert "1,000 training tokens" in Page(tmp_path / "site/index.html").text


def test_toy_scales_answer_only_where_there_is_no_other(tmp_path: Path) -> None:
    records = [
        make_record("alpha", losses=losses(0.1)),
        make_record("beta", losses=losses(0.4), scale="embedded", base="real"),
    ]
    methods = [make_method("alpha"), make_method("beta"), make_method("dense", control=True, claims=())]
    registry = make_registry(*methods, bases={"tiny": ["toy"], "embedded": ["real"]})
    site = build(records, registry, tmp_path).index.parent
    assert [each["title"].split(":")[0] for each in read(site, "data/which.js")["subjects"]] == ["real"]


def test_one_row_a_suite_says_how_much_there_is_and_how_much_is_timed(tmp_path: Path) -> None:
    records = [DENSE, make_record("alpha", losses=losses(0.2), **times(0.5)), make_record("beta", losses=losses(0.4))]
    copy = make_record("beta", losses=losses(0.4), hardware="cpu-other")
    page = Page(build([*records, copy], REGISTRY, tmp_path).index)
    assert "Methods4Results3Timed2" in "".join(page.text.split())  # the copy on other hardware counts once
    old = make_record("random", losses=losses(0.4), key="old")
    page = Page(build([old], REGISTRY, tmp_path).index)
    assert "Methods4Results4Timed2Stale1" in "".join(page.text.split())
