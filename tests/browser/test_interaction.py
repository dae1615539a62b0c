"""What a visitor does: sort, filter, explore, compare, share; with the mouse and with the keyboard alone."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.publish.site_factory import HALF
from tests.browser.conftest import figures as figures_of

BOARD = f"{HALF}.html"
Visit = Callable[..., Any]


def shown(page: Any) -> list[str]:
    """Names of the rows that are seen, in order."""
    names: list[str] = page.locator("table[data-main] tbody tr").evaluate_all(
        "rows => rows.filter((row) => !row.hidden).map((row) => row.dataset.name)"
    )
    return names


def board(visit: Visit, state: str = "", **options: Any) -> Any:
    page = visit(BOARD + (f"#{state}" if state else ""), **options)
    page.wait_for_selector(".interactive svg")
    return page


def figures(page: Any, metric: str) -> list[float]:
    at = page.locator(f"th[data-metric='{metric}']").evaluate("each => each.cellIndex")
    values: list[float] = page.locator("table[data-main] tbody:not(.failed) tr").evaluate_all(
        f"rows => rows.map((row) => Number(row.cells[{at}].dataset.sort))"
    )
    return values


def test_sorting_orders_by_value_and_keeps_failures_at_the_end(visit: Visit) -> None:
    page = board(visit)
    before = shown(page)
    header = page.locator("th[data-metric='stored_ratio']")
    header.click()
    values = figures(page, "stored_ratio")
    assert values == sorted(values)
    assert header.get_attribute("aria-sort") == "ascending"
    header.click()
    values = figures(page, "stored_ratio")
    assert values == sorted(values, reverse=True)
    assert shown(page)[-2:] == before[-2:] == ["dense", "slow"]
    page.locator("th", has_text="Rank").first.click()
    assert shown(page) == before


def test_filters_search_and_count(visit: Visit) -> None:
    page = board(visit)
    page.select_option("select[data-facet='kind']", "control")
    assert shown(page) == ["random"]
    assert "1 of 13 rows" in page.locator(".count").inner_text()
    page.select_option("select[data-facet='kind']", "")
    page.select_option("select[data-facet='status']", "timeout")
    assert shown(page) == ["slow"]
    page.select_option("select[data-facet='status']", "")
    page.fill("input[type='search']", "V3")
    assert shown(page) == ["alpha:v3"]


def test_the_explorer_says_what_is_feasible_and_what_is_best(visit: Visit) -> None:
    page = board(visit)
    data = page.evaluate("effbench.board")
    peaks = figures_of(data, "memory.peak")
    slider = page.locator("input[type='range'][data-metric='memory.peak']")
    slider.evaluate("each => { each.value = 2; each.dispatchEvent(new Event('input')) }")
    allowed = float(page.evaluate("effbench.state.get('max.memory.peak')"))
    inside = [row["name"] for row, cell in zip(data["rows"], peaks, strict=True) if cell and cell[0] <= allowed]
    assert 0 < len(inside) < 11
    over = page.locator("table[data-main] tr.over").evaluate_all("rows => rows.map((row) => row.dataset.name)")
    assert sorted(over) == sorted(set(shown(page)) - set(inside) - {"dense", "slow"})
    assert f"{len(inside)} of 11 within the limits" in page.locator(".best[role='status']").inner_text()
    index = {row["name"]: i for i, row in enumerate(data["rows"])}
    best = [name for name in inside if not any(index[name] in data["beats"][index[other]] for other in inside)]
    linked = page.locator(".best[role='status'] a").all_inner_texts()
    assert sorted(linked) == sorted(best)
    assert page.locator(".interactive a.over").count() == 11 - len(inside)
    page.check("#hide")
    assert sorted(shown(page)) == sorted([*inside, "dense", "slow"])
    page.get_by_role("button", name="No limits").click()
    assert page.locator("table[data-main] tr.over").count() == 0


def test_any_state_has_an_address_that_brings_it_back(visit: Visit) -> None:
    page = board(visit)
    page.locator("th[data-metric='decode.tpot.ratio']:visible").click()
    page.select_option("select[data-facet='kind']", "method")
    page.fill("input[type='search']", "alpha")
    page.select_option("#axis-x", "memory.peak")
    page.locator("input[data-metric='stored_ratio']").evaluate(
        "each => { each.value = 4; each.dispatchEvent(new Event('input')) }"
    )
    page.check("#hide")
    state = page.url.split("#")[1]
    again = board(visit, state)
    assert shown(again) == shown(page)
    assert 0 < len(shown(again)) < 9
    assert again.input_value("#axis-x") == "memory.peak"
    assert again.input_value("input[data-metric='stored_ratio']") == "4"
    assert again.locator("th[data-metric='decode.tpot.ratio']:visible").get_attribute("aria-sort") == "ascending"
    assert again.url.split("#")[1] == state


@pytest.mark.parametrize(
    "state", ["sort=nothing.asc", "sort=.", "x=%00&max.stored_ratio=abc&kind=<img>", "q=%F0", "max.=1"]
)
def test_an_address_that_makes_no_sense_shows_the_page(visit: Visit, state: str) -> None:
    assert board(visit, state).locator("table[data-main] tbody tr").count() == 13


def test_the_plot_changes_its_axes_and_tells_its_points(visit: Visit) -> None:
    page = board(visit)
    assert page.locator(".interactive a").count() == 11
    page.select_option("#axis-x", "decode.tpot.ratio")
    assert "Time per token" in page.locator(".interactive .axis-title").first.text_content()
    mark = page.locator(".interactive a[data-name='alpha']")
    mark.dispatch_event("mouseenter")
    tip = page.locator(".tip")
    assert tip.is_visible()
    assert "Perplexity" in tip.inner_text()
    assert "n=60" in tip.inner_text()
    assert "alpha" in mark.get_attribute("aria-label")
    assert mark.get_attribute("href").endswith("half/alpha/default.html")


def test_labels_of_the_plot_do_not_collide(visit: Visit) -> None:
    for width in (360, 800, 1280):
        page = board(visit, viewport={"width": width, "height": 900})
        boxes = page.locator(".interactive .label").evaluate_all(
            "all => all.map((each) => each.getBoundingClientRect()).map((b) => [b.left, b.top, b.right, b.bottom])"
        )
        assert len(boxes) >= 3
        for i, (x1, y1, x2, y2) in enumerate(boxes):
            assert not any(x1 + 1 < d and c + 1 < x2 and y1 + 4 < f and e + 4 < y2 for c, e, d, f in boxes[:i])


def test_everything_works_by_keyboard_alone(visit: Visit) -> None:
    page = board(visit)
    page.locator("th[data-metric='stored_ratio']").focus()
    page.keyboard.press("Enter")
    assert page.locator("th[data-metric='stored_ratio']").get_attribute("aria-sort") == "ascending"
    page.keyboard.press(" ")
    assert page.locator("th[data-metric='stored_ratio']").get_attribute("aria-sort") == "descending"
    slider = page.locator("input[data-metric='stored_ratio']")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator("tr.over").count() == 10
    page.keyboard.press("End")
    assert page.locator("tr.over").count() == 0
    page.locator(".interactive a[tabindex='0']").focus()
    first = page.evaluate("document.activeElement.dataset.name")
    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.dataset.name")
    assert first != second
    assert second in page.locator(".tip").inner_text()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.name") == first
    page.keyboard.press("Escape")
    assert not page.locator(".tip").is_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**/half/**/*.html")


def test_what_is_shown_can_be_taken_along(visit: Visit, tmp_path: Path) -> None:
    page = board(visit, "sort=stored_ratio.desc&kind=method&q=alpha")
    names = shown(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV of what is shown").click()
    waiting.value.save_as(tmp_path / "shown.csv")
    with (tmp_path / "shown.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["method"] for line in lines] == names
    ratios = [float(line["stored_ratio"]) for line in lines]
    assert ratios == sorted(ratios, reverse=True)
    assert float(lines[0]["perplexity.low"]) < float(lines[0]["perplexity"]) < float(lines[0]["perplexity.high"])
    with page.expect_download() as waiting:
        page.get_by_role("button", name="JSON").click()
    waiting.value.save_as(tmp_path / "shown.json")
    assert [row["method"] for row in json.loads((tmp_path / "shown.json").read_text())] == names


def test_tables_of_other_pages_filter_too(visit: Visit) -> None:
    page = visit("methods/demo/alpha.html#q=v3")
    rows = page.locator("table[data-main] tbody tr:not([hidden])")
    assert rows.count() == 1
    page.get_by_label("Search", exact=True).fill("nvidia-test")
    assert rows.count() == 1  # the one with records there too
    page.get_by_label("Search", exact=True).fill("")
    assert rows.count() == 9
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV of what is shown").click()
    assert len(list(csv.DictReader(Path(waiting.value.path()).read_text().splitlines()))) == 9


def test_a_limit_holds_as_it_was_set_where_no_value_lies_at_it(visit: Visit) -> None:
    page = board(visit, "max.stored_ratio=0.01")
    assert "0 of 11 within the limits" in page.locator(".best[role='status']").inner_text()
    page = board(visit, "max.stored_ratio=abc")
    assert "11 of 11 within the limits" in page.locator(".best[role='status']").inner_text()


def test_the_address_of_what_is_new_unfolds_it(visit: Visit) -> None:
    page = visit("history.html")
    assert not page.locator("#new table").is_visible()
    assert page.locator("table[data-main]").is_visible()
    page = visit("history.html#new")
    page.locator("#new table").wait_for()


def test_two_to_six_methods_are_compared(visit: Visit) -> None:
    page = visit(f"compare.html#board={HALF}&with=alpha,beta".replace("/", "%2F"))
    page.wait_for_selector("#compare table")
    assert page.locator("#board").input_value() == HALF
    pair = page.locator("section", has=page.locator("h2", has_text="Perplexity")).locator("tbody tr").first
    assert "better" in pair.inner_text()
    assert page.locator("#compare section").count() == 5  # the score, a size, times on two machines, all figures
    for name in ("random", "alpha:v1", "alpha:v2", "alpha:v3"):
        page.check(f"fieldset input[value='{name}']")
    assert "alpha:v3" in page.evaluate("effbench.state.get('with')")
    assert page.locator("fieldset input:disabled").count() == 12 - 6  # the baseline of another point too
    again = visit(page.url.split("/site/")[1])
    again.wait_for_selector("#compare table")
    assert again.locator("fieldset input:checked").count() == 6
    for name in ("random", "alpha:v1", "alpha:v2", "alpha:v3", "beta"):
        page.uncheck(f"fieldset input[value='{name}']")
    assert "Choose two or more" in page.locator("#compare").inner_text()


def test_a_comparison_opens_on_the_best_the_best_control_and_the_baseline(visit: Visit) -> None:
    page = visit(f"compare.html#board={HALF}".replace("/", "%2F"))
    page.wait_for_selector("#compare table")
    chosen = page.locator("fieldset input:checked").evaluate_all("all => all.map((each) => each.value)")
    assert chosen[1:] == ["random", "dense@all"]  # the baseline is over the budget of half
    assert chosen[0].startswith("alpha")
    sizes = page.locator("section", has=page.locator("h2", has_text="Stored size")).locator("tbody tr").last
    assert "worse" in sizes.inner_text()
    assert "not comparable" not in sizes.inner_text()


def test_a_button_in_each_row_adds_it_to_the_comparison(visit: Visit) -> None:
    page = board(visit)
    for name in ("beta", "alpha:v2"):
        page.get_by_role("button", name=f"Compare {name}", exact=True).click()
    page.reload()
    page.get_by_role("link", name="Compare 2 of them").click()
    page.wait_for_selector("#compare table")
    chosen = page.locator("fieldset input:checked").evaluate_all("all => all.map((each) => each.value)")
    assert sorted(chosen) == ["alpha:v2", "beta"]


def test_a_picture_comes_as_png_too(visit: Visit, served: str, tmp_path: Path) -> None:
    page = visit(BOARD, at=served)
    page.wait_for_selector(".interactive svg")
    page.get_by_text("Pictures for a talk").click()
    with page.expect_download() as waiting:
        page.locator(".picture button.png").first.click()
    waiting.value.save_as(tmp_path / "picture.png")
    head = (tmp_path / "picture.png").read_bytes()[:24]
    assert head[1:4] == b"PNG"
    assert int.from_bytes(head[16:20], "big") == 2 * 760


def test_an_address_loads_no_script_but_those_of_the_list(visit: Visit, site: Path) -> None:
    (site / "evil.js").write_text("document.title = 'run'")
    (site / "evil.pairs.js").write_text("document.title = 'run'")
    page = visit("compare.html#board=evil&with=alpha,beta")
    page.wait_for_selector("#compare table")
    assert page.title() != "run"
    assert page.locator("#board").input_value() != "evil"
