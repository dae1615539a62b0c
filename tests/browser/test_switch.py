"""From one operating point to the next: in place where there is a server, by the plain link where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.publish.site_factory import HALF

BOARD = f"{HALF}.html"
FRESH = "window.fresh !== true"
Visit = Callable[..., Any]


def board(visit: Visit, served: str | None, state: str = "") -> Any:
    """The page, with a mark that another page would not have."""
    page = visit(BOARD + state, at=served)
    page.wait_for_selector(".interactive svg")
    page.evaluate("window.fresh = true")
    return page


def go(page: Any, point: str, key: str | None = None) -> None:
    """Follow the link of a point, with the mouse or a key, until its plot is drawn."""
    link = page.locator("nav[data-points] a", has_text=point)
    link.press(key) if key else link.click()
    arrived(page, point)


def arrived(page: Any, point: str) -> None:
    page.wait_for_function("point => document.querySelector('h1 code')?.textContent === point", arg=point)
    page.wait_for_selector(".interactive svg")


def names(page: Any) -> list[str]:
    """Rows of the table that are seen."""
    found: list[str] = page.locator("table[data-main] tbody tr:not([hidden])").evaluate_all(
        "rows => rows.map((row) => row.dataset.name)"
    )
    return found


def data(page: Any) -> list[str]:
    found: list[str] = page.evaluate("effbench.board.rows.map((row) => row.name)")
    return found


def test_a_point_takes_the_place_of_another_and_back_returns(visit: Visit, served: str) -> None:
    page = board(visit, served)
    before, title = names(page), page.title()
    go(page, "all")
    assert page.evaluate("window.fresh")
    assert page.url == f"{served}{HALF.removesuffix('half')}all.html"
    assert page.title().startswith("No limit")
    assert names(page) == data(page)
    assert sorted(names(page)) == ["beta", "dense", "random"]
    assert page.locator(".interactive a").count() == 3
    assert page.locator("main").count() == page.locator(".interactive").count() == page.locator(".count").count() == 1
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert "No limit" in page.locator("body > p[role='status']").inner_text()
    assert page.locator("script[data-board]").get_attribute("src") == "all.js"
    page.go_back()
    arrived(page, "half")
    assert page.evaluate("window.fresh")
    assert (names(page), data(page), page.title()) == (before, before, title)
    page.go_forward()
    arrived(page, "all")
    switched = page.locator("main").inner_text()
    page.reload()
    arrived(page, "all")
    assert page.evaluate(FRESH)
    assert page.locator("main").inner_text() == switched


def test_what_makes_sense_on_the_next_point_is_kept_and_the_rest_forgotten(visit: Visit, served: str) -> None:
    gone = "max.memory.evaluate.process_peak_above_the_start_of_everything=5e9&status=timeout"
    state = f"#sort=stored_ratio.desc&max.stored_ratio=0.8&{gone}&x=decode.tpot.ratio"
    page = board(visit, served, state)
    go(page, "all")
    assert page.evaluate("location.hash") == "#sort=stored_ratio.desc&max.stored_ratio=0.8&x=decode.tpot.ratio"
    assert names(page) == ["dense", "beta", "random"]
    assert page.locator("tr.over").evaluate_all("rows => rows.map((row) => row.dataset.name)") == ["dense", "beta"]
    assert page.locator("input[data-limit='stored_ratio']").input_value() == "0.8"
    assert page.input_value("#axis-x") == "decode.tpot.ratio"
    again = visit(page.url.removeprefix(served), at=served)
    arrived(again, "all")
    assert again.locator("main").inner_text() == page.locator("main").inner_text()


def test_the_view_that_is_gone_listens_no_more(visit: Visit, served: str) -> None:
    page = board(visit, served)
    page.evaluate("window.old = document.querySelector('.interactive')")
    go(page, "all")
    page.evaluate("window.drawn = window.old.firstElementChild")
    page.set_viewport_size({"width": 700, "height": 900})
    page.evaluate("location.hash = 'q=beta'")
    page.wait_for_function("document.querySelector('.count').textContent.startsWith('1 of 3')")
    assert page.evaluate("window.drawn === window.old.firstElementChild")
    assert names(page) == ["beta"]
    go(page, "half")
    assert names(page) == ["beta"]


def test_the_keyboard_switches_too(visit: Visit, served: str) -> None:
    page = board(visit, served)
    go(page, "all", key="Enter")
    assert page.evaluate("window.fresh")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('nav')?.dataset.points") == ""


def test_the_page_of_a_switch_is_accessible(visit: Visit, served: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = board(visit, served)
    go(page, "all")
    found = axe.Axe().run(page, options={"preload": False}).response["violations"]
    assert [(each["id"], [node["html"][:120] for node in each["nodes"]][:3]) for each in found] == []


def test_what_cannot_be_fetched_is_followed_as_a_link(visit: Visit, served: str) -> None:
    page = board(visit, served, "#q=beta")
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('no network')); }")
    go(page, "all")
    assert page.evaluate(FRESH)
    assert page.url.endswith("all.html#q=beta")
    assert names(page) == ["beta"]


def test_with_a_modifier_the_link_is_any_link(visit: Visit, served: str) -> None:
    page = board(visit, served)
    with page.context.expect_page() as opened:
        page.locator("nav[data-points] a", has_text="all").click(modifiers=["ControlOrMeta"])
    arrived(opened.value, "all")
    assert page.locator("h1 code").inner_text() == "half"


def test_from_files_a_point_is_another_page_with_the_same_state(visit: Visit, site: Path) -> None:
    page = board(visit, None, "#sort=stored_ratio.desc&kind=control")
    go(page, "all")
    assert page.evaluate(FRESH)
    assert page.url == f"{(site / HALF).parent.as_uri()}/all.html#sort=stored_ratio.desc&kind=control"
    assert names(page) == ["random"]
    page.go_back()
    arrived(page, "half")
