"""A board in a browser: what matters is in sight, the heading stays there, switch and search do what they say."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.bench.publish.site_factory import HALF
from tests.browser.conftest import figures

Visit = Callable[..., Any]


@pytest.mark.parametrize("script", [True, False])
def test_nothing_that_matters_is_beyond_the_right_edge(visit: Visit, script: bool) -> None:
    page = visit(f"{HALF}.html", viewport={"width": 1440, "height": 900}, java_script_enabled=script)
    box, table = page.locator(".tall").bounding_box(), page.locator("table.results").bounding_box()
    assert table["x"] + table["width"] <= box["x"] + box["width"] + 1
    assert box["x"] + box["width"] <= 1440


def test_more_columns_come_with_a_switch_that_needs_no_script(visit: Visit) -> None:
    page = visit(f"{HALF}.html", java_script_enabled=False)
    seeds = page.get_by_role("columnheader", name="Seeds")
    assert not seeds.is_visible()
    page.get_by_label("More columns").check()
    assert seeds.is_visible()


def test_the_heading_stays_in_sight(visit: Visit) -> None:
    page = visit(f"{HALF}.html", viewport={"width": 1440, "height": 420})
    page.locator("tbody tr[data-name]").last.scroll_into_view_if_needed()
    heading = page.get_by_role("columnheader", name="Against the best control").bounding_box()
    assert 0 <= heading["y"] < 420


def test_a_search_finds_names_families_and_papers_alone(visit: Visit) -> None:
    page = visit(f"{HALF}.html")
    shown = page.locator("tbody tr[data-name]:visible")
    page.get_by_label("Search", exact=True).fill("random")
    assert [row.get_attribute("data-name") for row in shown.all()] == ["random"]
    page.get_by_label("Search", exact=True).fill("a paper")
    assert shown.count() > 3


def test_the_explorer_draws_the_frontier_and_best_controls_in_colour_and_names_them(visit: Visit) -> None:
    page = visit(f"{HALF}.html")
    roles = page.locator(".interactive a").evaluate_all(
        "all => all.map(each => each.getAttribute('class').split(' ')[0])"
    )
    assert {"role-frontier", "role-rest"} <= set(roles)
    named = page.locator(".interactive text.label").all_text_contents()
    frontier = page.locator(".interactive a.role-frontier").evaluate_all("all => all.map(each => each.dataset.name)")
    assert any(name in text for name in frontier for text in named)


def test_a_limit_on_speed_is_asked_as_a_speed_up_and_says_what_was_not_measured(visit: Visit) -> None:
    page = visit(f"{HALF}.html")
    said = page.locator(".best[role='status']")
    page.locator("input[data-limit='decode.tpot.ratio']").fill("1.4")
    page.keyboard.press("Enter")
    assert float(page.evaluate("effbench.state.get('max.decode.tpot.ratio')")) == pytest.approx(1 / 1.4)
    data = page.evaluate("effbench.board")
    found = zip(data["rows"], figures(data, "decode.tpot.ratio"), strict=True)
    ratios = [cell for row, cell in found if row["status"] == "ok"]
    fits = sum(cell is not None and cell[0] <= 1 / 1.4 for cell in ratios)
    missing = sum(cell is None for cell in ratios)
    over = len(ratios) - fits - missing
    assert f"{fits} of {len(ratios)} within the limits, {over} over them, {missing} not measured" in said.inner_text()
    assert 0 < fits < len(ratios)


def cells(page: Any, name: str) -> list[str]:
    """What is seen of a row."""
    row = page.locator(f"tr[data-name='{name}'] td:visible")
    return [" ".join(text.split()) for text in row.all_inner_texts()]


@pytest.mark.parametrize("script", [True, False])
def test_the_hardware_switches_times_and_nothing_else(visit: Visit, script: bool) -> None:
    page = visit(f"{HALF}.html", java_script_enabled=script)
    before = cells(page, "alpha")
    page.get_by_label("nvidia-test").check()
    after = cells(page, "alpha")
    moved = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(moved) == 1
    assert (moved[0][0].startswith("0.7"), moved[0][1].startswith("0.6")) == (True, True)
    assert "not measured" in " ".join(cells(page, "beta"))
    page.get_by_label("cpu-test").check()
    assert cells(page, "alpha") == before


def test_the_address_keeps_the_hardware_and_the_explorer_goes_with_it(visit: Visit) -> None:
    page = visit(f"{HALF}.html#x=decode.tpot.ratio")
    assert page.locator(".interactive a").count() == 11
    page.get_by_label("nvidia-test").check()
    assert page.locator(".interactive a").count() == 2  # so many are timed there
    page.locator("input[data-limit='decode.tpot.ratio']").fill("1.4")
    page.keyboard.press("Enter")
    assert "2 of 11 within the limits, 0 over them, 9 not measured" in page.locator(".best[role='status']").inner_text()
    again = visit(page.url.split("/site/")[1])
    assert again.get_by_label("nvidia-test").is_checked()
    assert again.locator(".interactive a").count() == 2


def test_all_points_of_a_problem_are_explored_in_one_picture(visit: Visit) -> None:
    page = visit(f"{HALF}.html#max.stored_ratio=0.75")
    page.get_by_role("link", name="All operating points in one picture").click()
    page.wait_for_selector(".interactive svg")
    assert "max.stored_ratio=0.75" in page.url
    marks = page.locator(".interactive a").evaluate_all("all => all.map((each) => each.dataset.name)")
    assert {"alpha@half", "beta@half", "beta@all", "dense@all"} <= set(marks)
    said = page.locator(".best[role='status']").inner_text()
    assert f"{len(marks) - 2} of {len(marks)} within the limits, 2 over them, 0 not measured" in said
    page.locator("input[data-limit='decode.tpot.ratio']").fill("1.4")
    page.keyboard.press("Enter")
    said = page.locator(".best[role='status']").inner_text()
    data = page.evaluate("effbench.board")
    ratios, sizes = figures(data, "decode.tpot.ratio"), figures(data, "stored_ratio")
    fits = sum(ratio[0] <= 1 / 1.4 and size[0] <= 0.75 for ratio, size in zip(ratios, sizes, strict=True))
    assert f"{fits} of {len(marks)} within the limits" in said
    assert "as speed-up" in page.locator("#axis-x").inner_text()
