"""What suite.toml says, and what is refused in it."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from bench.contract import Limits
from bench.registry.suites import BadSuite, SuiteInfo, at_scale, read_suite

TEXT = """
slug = "toy"
area = "vision"
version = "1"
title = "Toy"
summary = "A toy."
baseline = "mine"
primary_costs = ["stored_ratio"]
bases = { tiny = ["a"], embedded = ["a"], full = ["b"] }
timing = { tiny = { seconds = 1, half_width = 0.1 }, embedded = {}, full = {} }
timeout = { tiny = 1, embedded = 1, full = 1 }
allowances.full = { seconds = 4, tokens = 2.5 }
settings = { shared = 1, size = { tiny = 2, embedded = 3, full = 4 } }

[problems.one]
title = "One"
[problems.two]
title = "Two"
module = "second"
baseline = "other"
primary = "speed"
scores = ["speed"]
workloads = []
primary_costs = ["height"]
settings = { shared = 2 }

[points.small]
title = "Small"
problem = "one"
limits = { stored_ratio = 0.5 }
build = { seconds = 10, tokens = 100, rows = 7 }
[points.none]
title = "No training"
problem = "two"
build = { tokens = 0 }

[scores.good]
title = "Good"
primary = true
[scores.speed]
title = "Speed"
[costs.height]
title = "Height"
[workloads.walk]
title = "Walk"
phases = { latency = "Time of a walk" }
"""


def read(text: str) -> SuiteInfo:
    return read_suite(text.encode(), PurePosixPath("suites/toy"), "suites.toy")


def test_a_problem_has_what_the_suite_has_unless_it_says_otherwise() -> None:
    one, two = read(TEXT).problems.values()
    assert (one.module, two.module) == ("suites.toy.one", "suites.toy.second")
    assert (one.baseline, two.baseline) == ("mine", "other")
    assert (one.settings["shared"], two.settings["shared"]) == (1, 2)
    assert (one.primary.name, two.primary.name) == ("good", "speed")
    assert (list(one.scores), list(two.scores)) == (["good", "speed"], ["speed"])
    assert (list(one.workloads), list(two.workloads)) == (["walk"], [])
    assert [metric.name for metric in one.primaries] == ["good", "stored_ratio"]
    assert [metric.name for metric in two.primaries] == ["speed", "height"]


def test_costs_that_every_suite_has_need_not_be_written() -> None:
    one = read(TEXT).problems["one"]
    assert {"stored_bytes", "stored_ratio", "build.seconds", "walk.latency"} <= set(one.costs)
    assert "walk.latency" not in read(TEXT).problems["two"].costs
    assert "flops_ratio" not in one.costs
    counted = read(TEXT.replace('version = "1"', 'version = "1"\ncounted = "image"')).problems["one"]
    assert "image" in counted.costs["flops"].title


def test_bytes_of_what_goes_beside_the_base_have_no_ratio_to_the_baseline() -> None:
    assert "stored_ratio" in read(TEXT).problems["two"].costs
    beside = read(TEXT.replace('title = "Two"', 'title = "Two"\nstored = false')).problems
    assert not {"stored_ratio", "stored_bytes"} & set(beside["two"].costs)
    assert "stored_ratio" in beside["one"].costs


def test_a_scale_may_have_more_of_what_a_point_allows() -> None:
    points = read(TEXT).points
    assert points["small"].at("tiny").limits == points["small"].limits
    assert points["small"].at("full").limits == Limits({"stored_ratio": 0.5}, 40, None, {"tokens": 250, "rows": 7})
    assert points["none"].at("full").limits == Limits({}, None, None, {"tokens": 0})
    assert points["small"].at("full").at("full").limits.build_seconds == 40


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("primary = true", "primary = false", "exactly one of its scores has to be primary"),
        ("tokens = 2.5", "token = 2.5", r"allowances\.full: no point limits 'token'; there are .*'tokens'"),
        ('area = "vision"', 'area = "seeing"', "'seeing' is none of language, vision"),
        ('problem = "one"', 'problem = "three"', "its problem is 'three'; there are one, two"),
        ("stored_ratio = 0.5", "store_ratio = 0.5", "limits 'store_ratio', which is no score and no cost of one"),
        ('scores = ["speed"]', 'scores = ["sped"]', "its scores name 'sped'; there are good, speed"),
        ('primary_costs = ["height"]', 'primary_costs = ["width"]', "primary cost 'width' is none of its costs"),
        (
            "timeout = { tiny = 1, embedded = 1, full = 1 }",
            "timeout = { tiny = 1 }",
            "timeout says nothing for the scale",
        ),
        ('slug = "toy"', 'slug = "Toy"', "lower-case"),
        ('title = "Toy"\n', "", "'title'"),
        ('slug = "toy"', "slug = ", r"suites/toy/suite\.toml"),
    ],
)
def test_what_contradicts_itself_is_refused(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(BadSuite, match=said):
        read(TEXT.replace(old, new, 1))


def test_settings_of_other_scales_do_not_count() -> None:
    settings: dict[str, Any] = {"size": {"tiny": 1, "full": 2}, "mode": {"tiny": 1, "large": 2}, "plain": 3}
    assert at_scale(settings, "tiny") == {"size": 1, "mode": {"tiny": 1, "large": 2}, "plain": 3}


CHART = """
[charts.both]
title = "Both"
[charts.both.scores]
good = "one"
speed = "two"
[charts.over]
title = "Over"
score = "speed"
cost = "height"
"""


def test_charts_belong_to_the_problem_that_has_their_scores() -> None:
    both, over = read(TEXT + CHART).charts
    assert (both.name, both.problem, both.scores) == ("both", "one", {"good": "one", "speed": "two"})
    assert (over.problem, over.score, over.cost) == ("one", "speed", "height")
    assert read(TEXT + CHART + 'problem = "two"').charts[1].problem == "two"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('title = "Both"', ""), "chart both: it has no title"),
        (('speed = "two"', "speed = 2"), "at numbers all, or at words all"),
        (('speed = "two"', ""), "two or more"),
        (('speed = "two"', 'sped = "two"'), "no problem has all of good, sped"),
        (('cost = "height"', 'cost = "width"'), "no problem has all of speed, width"),
        (('cost = "height"', ""), "either a table of `scores`, or `score` and `cost`"),
        (('cost = "height"', 'cost = "height"\nproblem = "third"'), "no problem has all of speed, height"),
        (('cost = "height"', 'cost = "height"\ncolour = "red"'), "'colour' means nothing"),
    ],
)
def test_a_chart_that_cannot_be_drawn_is_refused(change: tuple[str, str], said: str) -> None:
    with pytest.raises(BadSuite, match=said):
        read(TEXT + CHART.replace(*change))
