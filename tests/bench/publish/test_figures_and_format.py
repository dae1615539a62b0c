"""The picture: nothing outside its frame, no label on another; numbers: as people read them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analyse.rows import make_rows
from bench.analyse.summary import Cost
from bench.publish.axis import make_axis, useful
from bench.publish.format import deserved, gain, interval, number, percent, quantity, rank
from bench.publish.frontier_view import Figure, make_figure
from bench.registry.metrics import Metric
from tests.bench.analyse.record_factory import make_info, make_record

INFO = make_info()
SCORE, COST = INFO.scores["perplexity"], INFO.costs["stored_ratio"]


def exact(value: float) -> Cost:
    return Cost(value, value, value, 1, "", "exact")


def figure(points: list[tuple[float, float]], controls: int = 0) -> Figure | None:
    records = [
        make_record(f"method-{i}", losses=[loss - 0.3, loss, loss + 0.3], figures={"stored_ratio": cost})
        for i, (cost, loss) in enumerate(points)
    ]
    return make_figure(make_rows(records), COST, SCORE, {f"method-{i}" for i in range(controls)})


def test_many_points_are_grey_and_only_the_frontier_and_the_best_control_are_named() -> None:
    drawn = figure([(0.5, 2.5), (0.4, 3.0), (0.6, 3.1), *((0.5 + 0.02 * i, 3.2 + 0.01 * i) for i in range(12))])
    assert drawn is not None
    assert {mark.name for mark in drawn.marks if mark.role == "frontier"} == {"method-0", "method-1"}
    assert [text for *_, text in drawn.labels] == ["method-0", "method-1"]
    assert {mark.role for mark in drawn.marks[3:]} == {"rest"}
    better = figure([(0.5, 3.5), (0.4, 3.6), (0.6, 3.7), *((0.3, 2.5 + 0.01 * i) for i in range(12))], controls=3)
    assert better is not None
    assert [mark.name for mark in better.marks if mark.role == "control"] == ["method-0", "method-1"]
    assert {"method-0", "method-3"} <= {text for *_, text in better.labels}


def test_what_is_far_off_stands_at_the_edge_and_is_counted() -> None:
    near = [(0.3 + 0.05 * i, 4.0 + 0.1 * i) for i in range(8)]
    drawn = figure([*near, (0.35, 30.0), (0.45, 35.0)], controls=1)
    assert drawn is not None
    assert drawn.y.high < 1000
    assert [mark.off for mark in drawn.marks] == [""] * 8 + ["top"] * 2
    assert [mark.y for mark in drawn.marks[8:]] == [drawn.top] * 2
    assert [text for *_, text in drawn.off] == ["2 off scale ↑"]
    everything = figure(near, controls=1)
    assert everything is not None
    assert everything.off == []


def test_the_best_control_stays_in_sight() -> None:
    low, high = useful([50, 60, 70, 80, 1e6, 1e9], "lower", [1200])
    assert (low, high) == (50, 1200)
    assert useful([50, 60, 70, 80, 1e6, 1e9], "lower", [1e6]) == (50, 80)  # but not at any price
    assert useful([0.6, 0.59, 0.58, 0.57, 0.56, 0.02], "higher", []) == (0.56, 0.6)
    assert useful([0.6, 0.59, 0.58, 0.57, 0.56, 0.02], "higher", [0.2]) == (0.02, 0.6)  # to save little hides nothing
    assert useful([1.0, 2.0, 3.0, 4.0, 5.0], "lower") == (1.0, 5.0)


@pytest.mark.parametrize(("low", "high"), [(50, 300), (0.2, 1.3), (64, 640), (1e3, 9e6)])
def test_ticks_of_a_log_axis_are_round_and_few(low: float, high: float) -> None:
    axis = make_axis(SCORE, [exact(low), exact(high)], 0, 100)
    said = [float(text.replace(",", "").replace("\N{NO-BREAK SPACE}M", "e6").replace("\N{NO-BREAK SPACE}k", "e3"))
            for _, text in axis.ticks]  # fmt: skip
    assert axis.log
    assert 3 <= len(said) <= 8
    assert all(f"{value:e}"[0] in "123457" for value in said)
    assert all("e+" not in text for _, text in axis.ticks)


def test_what_is_stale_is_never_named_without_it() -> None:
    rows = make_rows(
        make_record(f"method-{i}", losses=[2.7, 3.0 + i, 3.3], figures={"stored_ratio": 0.5 + i / 10}) for i in range(3)
    )
    drawn = make_figure(rows, COST, SCORE, set(), stale=rows[:1])
    assert drawn is not None
    assert [mark.stale for mark in drawn.marks] == [True, False, False]
    assert [text for *_, text in drawn.labels if "method-0" in text] == ["method-0 (stale)"]


@given(st.lists(st.tuples(st.floats(0.01, 3), st.floats(0.1, 12)), min_size=2, max_size=14), st.integers(0, 3))
@settings(max_examples=40)
def test_everything_is_inside_and_labels_cover_nothing(points: list[tuple[float, float]], controls: int) -> None:
    drawn = figure(points, controls)
    assert drawn is not None
    for mark in drawn.marks:
        assert drawn.left <= mark.x <= drawn.right
        assert drawn.top <= mark.y <= drawn.bottom
        for low, high in filter(None, [mark.bar_y]):
            assert drawn.top <= high <= low <= drawn.bottom
    boxes = []
    for x, y, anchor, text in drawn.labels:
        width = 6.4 * len(text)
        left = x if anchor == "start" else x - width if anchor == "end" else x - width / 2
        boxes.append((left, y - 11, left + width, y + 3))
        assert drawn.left <= left
        assert left + width <= drawn.right
        assert not any(left < m.x < left + width and y - 11 < m.y < y + 3 for m in drawn.marks)
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert any(mark.role == "frontier" for mark in drawn.marks)
    assert len({text for _, text in drawn.x.ticks}) == len(drawn.x.ticks)
    assert all(drawn.left <= at <= drawn.right for at, _ in drawn.x.ticks)
    assert bool(drawn.reached) is bool(controls)


def test_better_is_left_and_down_for_two_costs() -> None:
    drawn = figure([(0.25, 5.0), (0.5, 3.0), (0.75, 3.5)], controls=1)
    assert drawn is not None
    cheap, good, beaten = drawn.marks
    assert cheap.x < good.x < beaten.x
    assert cheap.y < beaten.y < good.y  # pixels count downwards: worse stands higher
    assert [mark.role for mark in drawn.marks] == ["frontier", "frontier", "rest"]
    assert drawn.better == "left and down"
    # what the control reaches: all that is no cheaper and no better than it
    assert drawn.reached == [
        (cheap.x, drawn.top, pytest.approx(drawn.right - cheap.x), pytest.approx(cheap.y - drawn.top))
    ]


def test_what_cannot_be_drawn_is_named() -> None:
    drawn = figure([(0.5, 3.0), (0.6, 3.1), (0.7, math.inf)])
    assert drawn is not None
    assert drawn.left_out == ["method-2 at half: no finite value"]
    assert figure([(0.5, 3.0)]) is None


def test_a_point_without_an_interval_is_not_passed_off_as_exact() -> None:
    few = {"candidate": [0.5] * 4, "baseline": [1.0] * 4}
    many = {"candidate": [0.5] * 8, "baseline": [1.0] * 8}
    records = [make_record("few", losses=[3.0, 4.0], **few), make_record("many", losses=[3.0, 5.0], **many)]
    drawn = make_figure(make_rows(records), INFO.costs["decode.tpot.ratio"], SCORE, set())
    assert drawn is not None
    assert drawn.unbounded == ["few at half"]


def test_a_wide_range_gets_a_logarithmic_axis() -> None:
    wide, narrow = figure([(0.5, 3.0), (0.6, 11.0)]), figure([(0.5, 3.0), (0.6, 3.2)])
    assert wide is not None
    assert narrow is not None
    assert (wide.y.log, narrow.y.log) == (True, False)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (104_200_000, "B", "104.2 MB"),
        (0.0381, "s", "38.10 ms"),
        (2400.0, "s", "2400 s"),
        (0.49712, "×", "0.4971×"),
        (0, "B", "0 B"),
        (1230.4, "", "1230"),
        (37.25, "", "37.25"),
        (123456789.0, "", "123.5 M"),
        (4.5e17, "", "4.500e+17"),
        (3e-8, "", "3.000e−08"),
        (-1.5, "", "−1.500"),
        (math.inf, "", "∞"),
        (math.nan, "", "–"),
        (None, "s", "–"),
    ],
)
def test_quantities(value: float | None, unit: str, text: str) -> None:
    assert quantity(value, unit) == text.replace(" ", "\N{NO-BREAK SPACE}")


@given(st.floats(1e-12, 1e12))
def test_a_number_keeps_its_value_to_four_digits(value: float) -> None:
    text, _, letter = number(value).replace("−", "-").partition("\N{NO-BREAK SPACE}")
    assert float(text) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[letter] == pytest.approx(value, rel=6e-4)


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (121.4e6, 119e6, 124e6, "121 M"),
        (63.78, 62.9, 64.7, "63.8"),
        (63.78, 60.1, 67.5, "64"),
        (1234.0, 900.0, 1600.0, "1200"),
        (0.5944, 0.572, 0.617, "0.59"),
        (63.78, 63.78, 63.78, "63.78"),
        (63.78, -math.inf, math.inf, "63.78"),
    ],
)
def test_a_value_has_the_digits_that_its_interval_deserves(value: float, low: float, high: float, text: str) -> None:
    assert number(value, deserved(value, low, high)) == text.replace(" ", "\N{NO-BREAK SPACE}")


def test_a_gain_of_many_times_is_a_factor() -> None:
    said = [gain(each).replace("\N{NO-BREAK SPACE}", " ") for each in (0.0481, -0.2, 0.0, -201.07, 2.1, -1.0, math.nan)]
    assert said == ["+4.8 %", "−20 %", "0 %", "200× worse", "3.1× better", "−100 %", "–"]


def test_intervals_share_the_unit_of_their_value() -> None:
    assert interval(0.036, 0.040, 0.038, "s") == "[36, 40]"
    assert interval(0.0, math.inf, 1.0) == ""
    assert interval(0.5, 0.5, 0.5) == ""
    assert (percent(0.0481), percent(-0.2), percent(math.nan)) == (
        "+4.8\N{NO-BREAK SPACE}%",
        "−20.0\N{NO-BREAK SPACE}%",
        "–",
    )
    assert (rank((1, 1)), rank((2, 4)), rank(None)) == ("1", "2–4", "–")


def test_labels_leave_room_for_random_clouds() -> None:
    rng = np.random.default_rng(0)
    drawn = figure(list(zip(rng.uniform(0.2, 1, 9), rng.uniform(2, 4, 9), strict=True)))
    assert drawn is not None
    assert drawn.off == []
    assert len(drawn.labels) >= 7


ODD = (0.0, 5e-324, 1e-320, 1e-5, 1.0, 1.0 + 1e-12, -1.0, 1e100, 1.7e308, -1.7e308)


@pytest.mark.parametrize("unit", ["", "B", "s"])
@pytest.mark.parametrize(("one", "other"), itertools.combinations_with_replacement(ODD, 2))
def test_an_axis_can_be_made_for_any_numbers(one: float, other: float, unit: str) -> None:
    for ends in ((one, one), (0.0, math.inf), (-math.inf, math.inf), (0.9 * one, 1.1 * one)):
        costs = [Cost(one, *ends, 9, "", "measured"), Cost(other, other, other, 1, "", "exact")]
        axis = make_axis(Metric("x", "X", unit), costs, 0.0, 100.0)
        assert all(0 <= axis.at(value) <= 100 for value in ODD)
        assert len(axis.ticks) < 40
