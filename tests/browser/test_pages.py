"""Every kind of page in a real browser: accessible, readable without scripts, on a phone, in the dark and on paper."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.publish.site_factory import HALF, HOME

KINDS = {
    "index": "index.html",
    "suite": "suites/demo.html",
    "section": "suites/demo/tiny/toy.html",
    "board": f"{HALF}.html",
    "pairs": f"{HALF}/pairs.html",
    "record": f"{HOME}/random/default.html",
    "record with long names": f"{HOME}/alpha/v1.html",
    "failed record": f"{HOME}/slow/default.html",
    "method": "methods/demo/alpha.html",
    "history": "history.html",
    "compare": "compare.html",
    "data": "data.html",
    "submit": "submit.html",
    "about": "about.html",
    "methods": "methods.html",
    "coverage": "suites/demo/coverage.html",
    "glossary": "glossary.html",
}
Visit = Callable[..., Any]


def settle(page: Any) -> None:
    """Wait until the explorer or the comparison, if the page has one, is there."""
    if page.query_selector("#explorer"):
        page.wait_for_selector(".interactive svg")
    if page.query_selector("#compare"):
        page.wait_for_selector("#compare table")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_no_violation(visit: Visit, kind: str, scheme: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed: pip install .[browser]"
    )
    page = visit(KINDS[kind], color_scheme=scheme)
    settle(page)
    if kind == "board":
        page.locator("input[type='range']").first.evaluate(
            "each => { each.value = 2; each.dispatchEvent(new Event('input')) }"
        )
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    found = axe.Axe().run(page, options={"preload": False}).response["violations"]
    assert [(each["id"], [node["html"][:120] for node in each["nodes"]][:3]) for each in found] == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_scrolls_sideways_on_a_phone(visit: Visit, kind: str) -> None:
    page = visit(KINDS[kind], viewport={"width": 360, "height": 740})
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("kind", KINDS)
def test_without_scripts_the_content_is_there(visit: Visit, kind: str) -> None:
    page = visit(KINDS[kind], java_script_enabled=False)
    assert page.locator("h1").is_visible()
    assert page.locator("main").inner_text().count("\n") > 5
    for hidden in ("#theme", ".controls"):
        assert page.locator(hidden).count() == 0 or not page.locator(hidden).first.is_visible()


def test_without_scripts_a_board_has_its_table_and_its_pictures(visit: Visit) -> None:
    page = visit(f"{HALF}.html", java_script_enabled=False)
    assert page.locator("table.results tbody tr").count() == 13
    assert page.locator("svg.plot").count() == 3  # against a size, and against times on each hardware
    assert page.locator("svg.plot:visible").count() == 2
    assert page.locator("svg.plot").first.is_visible()
    assert not page.locator("#explorer").is_visible()
    assert page.locator(".downloads a[download]").count() == 2


def test_without_scripts_every_pair_is_compared(visit: Visit) -> None:
    page = visit("compare.html", java_script_enabled=False)
    page.locator(f"a[href='./{HALF}/pairs.html']").click()
    rows = page.locator("table.matrix tbody tr")
    assert rows.count() == rows.first.locator("td").count() == 11
    controls = page.get_by_role("group", name="Against the best control")
    against = controls.locator("tbody tr", has=page.locator("th", has_text="beta")).inner_text()
    assert "random" in against
    assert "worse" in against


def test_dark_is_dark_and_the_choice_stays(visit: Visit) -> None:
    def ground(page: Any) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    page = visit("index.html", color_scheme="light")
    assert ground(page) > 600
    assert ground(visit("index.html", color_scheme="dark")) < 150
    page.get_by_role("button", name="Dark colours").click()
    assert ground(page) < 150
    page.reload()
    assert ground(page) < 150
    page.get_by_role("button", name="Light colours").click()
    assert ground(page) > 600


def test_paper_has_the_static_pictures_and_no_controls(visit: Visit) -> None:
    page = visit(f"{HALF}.html")
    settle(page)
    page.emulate_media(media="print")
    assert page.locator("#figures").is_visible()
    assert not page.locator("#explorer").is_visible()
    assert not page.locator(".controls").first.is_visible()


def test_links_are_reached_by_the_keyboard_and_the_first_skips_the_menu(visit: Visit) -> None:
    page = visit("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_marks_differ_in_shape_where_there_is_no_colour(visit: Visit) -> None:
    page = visit(f"{HALF}.html")
    settle(page)
    shape = "all => all.map((each) => each.getAttribute('href'))"
    methods = page.locator(".interactive a:not(.control) use.mark").evaluate_all(shape)
    controls = page.locator(".interactive a.control use.mark").evaluate_all(shape)
    assert "#m-circle" in methods
    assert "#m-circle" not in controls
    hollow = page.locator(".interactive a.stale use.mark").first.evaluate("each => getComputedStyle(each).fill")
    full = page.locator(".interactive a:not(.stale) use.mark").first.evaluate("each => getComputedStyle(each).fill")
    assert hollow != full


def test_the_policy_stops_a_script_that_got_into_a_page(chromium: Any, site: Path, tmp_path: Path) -> None:
    """The second line of defence: were an attack ever written into a page, it would not run."""
    text = (
        (site / "index.html")
        .read_text()
        .replace("<main", "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\"><main")
    )
    (site / "attacked.html").write_text(text)
    page = chromium.new_page()
    page.goto((site / "attacked.html").as_uri())
    assert "run" not in page.title()
    page.close()
    (site / "attacked.html").unlink()
