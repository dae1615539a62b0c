"""The picture: nothing outside its frame, no label on another; numbers: as people read them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analyse.rows import make_rows
from bench.publish.format import interval, number, percent, quantity, rank
from bench.publish.frontier_view import Figure, make_figure
from bench.publish.markers import COLOURS, SHAPES, marker
from tests.bench.analyse.record_factory import make_info, make_record

INFO = make_info()
SCORE, COST = INFO.scores["perplexity"], INFO.costs["stored_ratio"]


def figure(points: list[tuple[float, float]], controls: int = 0) -> Figure | None:
    records = [
        make_record(f"method-{i}", losses=[loss - 0.3, loss, loss + 0.3], figures={"stored_ratio": cost})
        for i, (cost, loss) in enumerate(points)
    ]
    return make_figure(make_rows(records), COST, SCORE, {f"method-{i}" for i in range(controls)})


def test_with_several_operating_points_only_the_best_are_named() -> None:
    places = [(0.5, 1.0, "half"), (0.6, 2.0, "half"), (0.7, 3.0, "half"), (0.8, 4.0, "all"), (0.9, 5.0, "all")]
    records = [
        make_record(f"method-{i}", losses=[loss - 0.3, loss, loss + 0.3], figures={"stored_ratio": cost}, point=point)
        for i, (cost, loss, point) in enumerate(places)
    ]
    drawn = make_figure(make_rows(records), COST, SCORE, set())
    assert drawn is not None
    assert drawn.crowded
    assert [text for *_, text in drawn.labels] == ["method-0", "method-3"]  # the frontier, and the best at "all"
    assert len(drawn.legend) == 5
    alone = make_figure(make_rows(records[:3]), COST, SCORE, set())
    assert alone is not None
    assert not alone.crowded
    assert len(alone.labels) == 3


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
    assert any(mark.frontier for mark in drawn.marks)
    assert len({text for _, text in drawn.x.ticks}) == len(drawn.x.ticks)
    assert all(drawn.left <= at <= drawn.right for at, _ in drawn.x.ticks)
    assert bool(drawn.reached) is bool(controls)


def test_better_is_left_and_down_for_two_costs() -> None:
    drawn = figure([(0.25, 5.0), (0.5, 3.0), (0.75, 3.5)], controls=1)
    assert drawn is not None
    cheap, good, beaten = drawn.marks
    assert cheap.x < good.x < beaten.x
    assert cheap.y < beaten.y < good.y  # pixels count downwards: worse stands higher
    assert [mark.frontier for mark in drawn.marks] == [True, True, False]
    assert drawn.better == "left and down"
    # what the control reaches: all that is no cheaper and no better than it
    assert drawn.reached == [
        (cheap.x, drawn.top, pytest.approx(drawn.right - cheap.x), pytest.approx(cheap.y - drawn.top))
    ]


def test_methods_differ_by_shape_before_colours_repeat() -> None:
    drawn = figure([(i + 1.0, 3.0) for i in range(20)])
    assert drawn is not None
    assert len({(mark.shape, mark.colour) for mark in drawn.marks}) == 20
    assert len({marker(shape) for shape in SHAPES}) == len(SHAPES)
    assert math.gcd(len(SHAPES), COLOURS) == 1


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
        (123456789.0, "", "1.235e+08"),
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
    assert float(number(value).replace("−", "-")) == pytest.approx(value, rel=6e-4)


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
    drawn = figure(list(zip(rng.uniform(0.2, 1, 9), rng.uniform(2, 6, 9), strict=True)))
    assert drawn is not None
    assert len(drawn.labels) >= 7
