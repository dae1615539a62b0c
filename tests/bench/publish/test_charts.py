"""The pictures that a suite declares: what stands where, who is in colour, and where on the site they are."""

from itertools import pairwise
from pathlib import Path

from bench.analyse.rows import by_board, make_rows
from bench.publish.charts import Chart, charts_of
from bench.publish.table_view import make_table
from bench.record.schema import Record
from bench.registry.charts import ChartInfo
from tests.bench.analyse.record_factory import make_info, make_record
from tests.bench.publish.site_factory import HALF, Page, build, losses, make_method, make_registry

OVER_SNR = ChartInfo("over-snr", "Figures over SNR", "main", x="dB", scores={"perplexity": -8, "accuracy": 16})
OVER_BYTES = ChartInfo("over-bytes", "Perplexity over bytes", "main", score="perplexity", cost="stored_ratio")
METHODS = [
    make_method("alpha"),
    make_method("beta"),
    make_method("dense", control=True, claims=()),
    make_method("random", control=True, claims=()),
]
REGISTRY = make_registry(*METHODS, charts=(OVER_SNR, OVER_BYTES))


def record(method: str, shift: float, point: str = "half", size: float = 0.5, right: float = 0.5) -> Record:
    answers = [float(i < 60 * right) for i in range(60)]
    return make_record(method, losses=losses(shift), right=answers, point=point, figures={"stored_ratio": size})


RECORDS = [
    record("alpha", 0.1), record("beta", 0.6), record("random", 0.4), record("dense", 0.0, "all", 1.0),
    record("alpha", 0.05, "all", 0.9), record("random", 0.3, "all", 0.7),
]  # fmt: skip


def drawn(declared: ChartInfo, records: list[Record]) -> list[Chart]:
    boards = by_board(make_rows(records))
    tables = [make_table(board, rows, make_info(), REGISTRY, {}) for board, rows in boards.items()]
    return charts_of(declared, tables, {board.point: rows for board, rows in boards.items()})


def test_each_score_stands_where_the_suite_says_at_each_point() -> None:
    everything, half = drawn(OVER_SNR, RECORDS)
    assert (everything.point, half.point) == ("all", "half")
    alpha = next(curve for curve in half.curves if curve.name == "alpha")
    assert [spot.x for spot in alpha.spots] == [half.x.at(-8), half.x.at(16)]
    assert [text for _, text in half.x.ticks] == ["-8", "16"]
    assert [x for x, _ in half.x.ticks] == [spot.x for spot in alpha.spots]
    assert "0.5" in alpha.spots[1].text


def test_words_stand_side_by_side() -> None:
    parts = ChartInfo("parts", "By part", "main", scores={"perplexity": "core", "accuracy": "rim"})
    (half,) = drawn(parts, RECORDS[:3])
    assert [text for _, text in half.x.ticks] == ["core", "rim"]
    assert half.x.ticks[0][0] < half.x.ticks[1][0]


def test_over_the_points_a_line_goes_from_the_cheapest_to_the_dearest() -> None:
    (chart,) = drawn(OVER_BYTES, RECORDS)
    lines = {curve.name: curve for curve in chart.curves}
    assert set(lines) == {"alpha", "random"}, "beta and dense stand at one point and are no line"
    assert [spot.x for spot in lines["alpha"].spots] == [chart.x.at(0.5), chart.x.at(0.9)]
    assert lines["alpha"].path == "M" + "L".join(f"{spot.x} {spot.y}" for spot in lines["alpha"].spots)


def test_no_size_lies_beyond_the_axis() -> None:
    """Bytes are better few, and a line goes on to where there are many."""
    sizes = {"half": 0.01, "all": 1.0}
    records = [record(f"method-{i}", 0.1 + 0.01 * i, at, size) for i in range(6) for at, size in sizes.items()]
    (chart,) = drawn(OVER_BYTES, records)
    assert chart.x.holds(0.01)
    assert chart.x.holds(1.0)
    assert all(len({spot.x for spot in curve.spots}) == 2 for curve in chart.curves)


def test_the_first_method_and_the_best_control_are_in_colour_and_on_top() -> None:
    _, half = drawn(OVER_SNR, RECORDS)
    assert [(curve.name, curve.role) for curve in half.curves[-2:]] == [("random", "control"), ("alpha", "frontier")]
    assert {curve.role for curve in half.curves[:-2]} == {"rest"}
    assert {"alpha", "random"} <= {text for *_, text in half.labels}


def test_names_stand_beside_the_ends_of_their_lines_and_not_on_each_other() -> None:
    many = [record(f"method-{i}", 0.1 + 0.001 * i, right=0.5 + 0.01 * (i % 3)) for i in range(10)]
    (half,) = drawn(OVER_SNR, many)
    assert len(half.labels) == 10
    heights = [y for _, y, _, _ in half.labels]
    assert all(after - before >= 14.9 for before, after in pairwise(heights))
    assert all(half.top <= y <= half.bottom + 5 and x > half.right for x, y, *_ in half.labels)
    alone = drawn(OVER_SNR, many[:1])[0]
    assert abs(alone.labels[0][1] - 4 - alone.curves[0].spots[-1].y) < 0.1


def test_what_has_no_value_is_left_out_and_nothing_at_all_makes_no_picture() -> None:
    without = [make_record("alpha", losses=losses(0.1)), record("beta", 0.6)]
    (half,) = drawn(OVER_SNR, without)
    assert [curve.name for curve in half.curves] == ["beta"]
    assert drawn(OVER_SNR, without[:1]) == []
    assert drawn(OVER_BYTES, RECORDS[:3]) == []
    assert drawn(ChartInfo("else", "Of another problem", "other", scores=OVER_SNR.scores), RECORDS) == []


def test_the_pages_of_suite_section_and_board_show_them_with_a_file_each(tmp_path: Path) -> None:
    site = build(RECORDS, REGISTRY, tmp_path).index.parent
    board, section, suite = (
        Page(site / address) for address in (f"{HALF}.html", "suites/demo/tiny/toy.html", "suites/demo.html")
    )
    assert "Figures over SNR, half" in board.text
    assert "Perplexity over bytes" not in board.text
    for page in (section, suite):
        assert "Figures over SNR" in page.text
        assert "Perplexity over bytes" in page.text
    files = [href for _, attrs in board.tags if (href := attrs.get("href") or "").endswith(".chart.over-snr.half.svg")]
    assert len(files) == 1
    picture = ((site / f"{HALF}.html").parent / files[0]).resolve().read_text()
    assert picture.count('class="curve"') == 3
    assert "effbench: Demo suite" in picture
