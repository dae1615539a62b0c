"""A board in a browser: what matters is in sight, the heading stays there, switch and search do what they say."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.bench.publish.site_factory import HALF

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
    column = [metric["name"] for metric in data["metrics"]].index("decode.tpot.ratio")
    ratios = [row["cells"][column] for row in data["rows"] if row["status"] == "ok"]
    fits = sum(cell is not None and cell[0] <= 1 / 1.4 for cell in ratios)
    missing = sum(cell is None for cell in ratios)
    over = len(ratios) - fits - missing
    assert f"{fits} of {len(ratios)} within the limits, {over} over them, {missing} not measured" in said.inner_text()
    assert 0 < fits < len(ratios)
