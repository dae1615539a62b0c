"""The front page answers what an engineer asks, by the clicks of a person, on a desk and on a phone."""

from collections.abc import Callable
from typing import Any

import pytest

Visit = Callable[..., Any]
SIZES = pytest.mark.parametrize("width", [1440, 360])


def front(visit: Visit, width: int = 1440, state: str = "", **options: Any) -> Any:
    page = visit("index.html" + state, viewport={"width": width, "height": 900}, **options)
    page.locator("#answer .headline").wait_for()
    return page


def choose(page: Any, label: str, words: str) -> None:
    """The option of a select that begins with these words."""
    options = page.get_by_label(label, exact=True)
    text = next(each for each in options.locator("option").all_inner_texts() if each.startswith(words))
    options.select_option(label=text)


def headline(page: Any) -> str:
    found: str = page.locator("#answer .headline").inner_text()
    return found


def row(page: Any, name: str) -> str:
    line = page.locator("#answer tbody tr", has=page.get_by_role("link", name=name, exact=True))
    found: str = line.inner_text()
    return " ".join(found.split())


@SIZES
def test_half_the_bytes_which_method(visit: Visit, width: int) -> None:
    page = front(visit, width)
    choose(page, "Model and task", "toy")
    choose(page, "Goal", "Smaller")
    page.get_by_label("Budget").fill("50")
    assert headline(page).startswith("alpha is the best of 3")
    answer = row(page, "alpha")
    assert "over random" in answer
    assert "×" in answer  # the speed that was measured
    assert "cpu-test" in answer
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="50 %").click()
    assert page.get_by_label("Budget").input_value() == "50"


@SIZES
def test_faster_decoding_which_method(visit: Visit, width: int) -> None:
    page = front(visit, width)
    choose(page, "Goal", "Faster")
    choose(page, "Hardware", "cpu-test")
    page.get_by_label("Budget").fill("1.4")
    before = headline(page)
    assert "alpha" in before.split("within")[0]
    page.get_by_label("Budget").fill("1.35")
    fewer, more = (int(text.split(" of ")[1].split()[0]) for text in (before, headline(page)))
    assert fewer <= more
    page.get_by_label("Budget").fill("1.4")
    again = page.url
    page.get_by_role("link", name="See the board with this limit").click()
    page.wait_for_selector(".interactive svg")
    assert "max.decode.tpot.ratio=0.714286" in page.url
    page = visit(again.split("/site/")[1])
    page.locator("#answer .headline").wait_for()
    assert headline(page) == before


def test_a_limit_that_nothing_was_measured_for_says_so_and_names_the_nearest(visit: Visit) -> None:
    page = front(visit)
    choose(page, "Goal", "Faster")
    page.get_by_label("Budget").fill("50")
    assert headline(page) == "Nothing that was measured is within this limit."
    answer = page.locator("#answer").inner_text()
    assert "The nearest is" in answer
    assert "×" in answer
    choose(page, "Hardware", "nvidia-test")
    page.get_by_label("Budget").fill("50")
    assert "what was not measured may do it" in page.locator("#answer").inner_text()
    page.get_by_label("Budget").fill("")
    assert headline(page) == "Type a number above 0."


def test_the_page_and_its_script_say_the_same(visit: Visit) -> None:
    page = front(visit)
    choose(page, "Goal", "Smaller")
    page.get_by_label("Budget").fill("50")
    said = [" ".join(text.split()) for text in page.locator("#answer tbody td a").all_inner_texts()]
    assert said
    line = page.locator("table.answers tbody", has_text="Half the bytes").last
    assert line.locator("td[data-label='Method'] a").all_inner_texts() == said


@SIZES
def test_without_scripts_the_answers_stand_in_the_page(visit: Visit, width: int) -> None:
    page = visit("index.html", java_script_enabled=False, viewport={"width": width, "height": 900})
    half = page.locator("table.answers tbody", has_text="Half the bytes")
    assert half.is_visible()
    assert "best of" in half.inner_text()
    assert "over random" in half.inner_text()
    assert page.get_by_text("1.4× as fast").first.is_visible()
    assert not page.locator("#ask").is_visible()


@pytest.mark.parametrize("address", ["index.html", "suites/demo/cpu-test/tiny/toy/half/alpha/default.html"])
def test_a_method_is_found_from_every_page(visit: Visit, address: str) -> None:
    page = visit(address)
    page.keyboard.press("/")
    page.keyboard.type("a paper beta")
    hit = page.locator("#found a").first
    hit.wait_for()
    assert "beta" in hit.inner_text()
    page.keyboard.press("ArrowDown")
    assert hit.evaluate("each => each === document.activeElement")
    page.keyboard.press("Enter")
    page.wait_for_url("**/methods/demo/beta.html")
    field = page.locator("#find")
    field.fill("no such method")
    page.locator("#found li", has_text="Nothing found.").wait_for()
    field.press("Escape")
    assert not page.locator("#found").is_visible()


def test_what_is_found_and_answered_is_accessible(visit: Visit) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    for scheme in ("light", "dark"):
        page = front(visit, color_scheme=scheme)
        page.locator("#find").fill("alpha")
        page.locator("#found a").first.wait_for()
        found = axe.Axe().run(page, options={"preload": False}).response["violations"]
        assert [(each["id"], [node["html"][:120] for node in each["nodes"]][:3]) for each in found] == []
