"""How long a visitor waits: opening a page, sorting, filtering, setting a limit, switching an axis or the point.

On demand: `python tests/perf/test_site_interaction.py SITE` with a built site; its heaviest board and section are used.
Milliseconds from the event until what follows is on the screen (layout, paint), in headless Chromium; "worked" is the
part of it in which the page computes. A switch is timed from the click on one page to the first paint of the next. On a
machine with other work look at the best of the rounds: the load average stands in the report.
"""

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CHROMIUM

ROUNDS = 15
TIMED = """async ([select, act]) => {
  const target = select ? document.querySelector(select) : document;
  const started = performance.now();
  new Function("target", act)(target);
  document.body.getBoundingClientRect();
  const worked = performance.now() - started;
  await new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel(); // its message comes after the frame, without a timer's least delay
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  }));
  return [worked, performance.now() - started];
}"""
CLICK = "link => { sessionStorage.clicked = performance.timeOrigin + performance.now(); link.click(); }"
PAINTED = """async () => {
  const paint = await new Promise((done) => new PerformanceObserver((list) => {
    for (const each of list.getEntries()) if (each.name === "first-contentful-paint") done(each.startTime);
  }).observe({ type: "paint", buffered: true }));
  return performance.timeOrigin + paint - Number(sessionStorage.clicked);
}"""
EVENT = "target.dispatchEvent(new Event('{}'))"
ACTIONS = {
    "sort": ("th[data-metric]", "target.click()"),
    "filter": (
        "select[data-facet='kind']",
        "target.selectedIndex = 1 - target.selectedIndex; " + EVENT.format("change"),
    ),
    "search": ("#search", "target.value = target.value ? '' : '3'; " + EVENT.format("input")),
    "limit": ("input[type='range']", "target.value = (Number(target.value) + 7) % 40; " + EVENT.format("input")),
    "axis": ("#axis-x", "target.selectedIndex = (target.selectedIndex + 1) % target.length; " + EVENT.format("change")),
}


def measure(site: Path) -> dict[str, Any]:
    """Timings of the heaviest board and section of a site."""
    from playwright.sync_api import sync_playwright

    board = max(site.glob("suites/*/*/*/*/*.html"), key=lambda path: path.stat().st_size)
    section = max(site.glob("suites/*/*/*/*.html"), key=lambda path: path.stat().st_size)
    report: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for kind, path, actions in (("board", board, ACTIONS), ("section", section, ("sort", "filter", "search"))):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            opened = [_open(page, path) for _ in range(5)]
            rows = page.locator("table[data-main] tbody tr").count()
            report[kind] = {"rows": rows, "open_ms": round(statistics.median(opened), 1)}
            for name in actions:
                select, act = ACTIONS[name]
                if kind == "section" and name == "sort":
                    select = "th[data-sort-method='value']"
                report[kind][name] = _time(page, select, act)
            page.close()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        _open(page, site / "submit.html")
        other = ("How it is measured", "Submit")
        links = [page.get_by_role("link", name=name, exact=True) for name in other]
        plain = [_switch(page, links[i % 2]) for i in range(ROUNDS + 2)]
        report["switch between two pages of text, for comparison"] = _said(plain[2:])
        _open(page, board)
        points = page.locator("nav[aria-label='Operating points'] a:not([aria-current])")
        report["switch the operating point"] = _said(
            [_switch(page, points.nth(i % points.count())) for i in range(ROUNDS + 2)][2:]
        )
        browser.close()
    report["load average"] = round(os.getloadavg()[0], 1)
    return report


def _switch(page: Any, link: Any) -> float:
    """Milliseconds from the click on a link to the first paint of its page; a plot comes after it and is waited for."""
    with page.expect_navigation(wait_until="domcontentloaded"):
        link.evaluate(CLICK)
    painted: float = page.evaluate(PAINTED)
    if page.query_selector("#explorer"):
        page.wait_for_selector(".interactive svg")
    return painted


def _open(page: Any, path: Path) -> float:
    """Milliseconds until the page's own scripts have run; pages with a plot draw it after that."""
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    done: float = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    if page.query_selector("#explorer"):
        page.wait_for_selector(".interactive svg")
    return done


def _time(page: Any, select: str, act: str) -> dict[str, float]:
    page.wait_for_selector(select, state="attached")
    worked, shown = zip(*(page.evaluate(TIMED, [select, act]) for _ in range(ROUNDS)), strict=True)
    return _said(shown) | {"worked_ms": round(statistics.median(worked), 1)}


def _said(samples: Sequence[float]) -> dict[str, float]:
    best, middle, worst = min(samples), statistics.median(samples), max(samples)
    return {"best_ms": round(best, 1), "median_ms": round(middle, 1), "worst_ms": round(worst, 1)}


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    from bench.publish.site import build_site
    from tests.perf import site_records

    site_records.write(tmp_path / "results", 500)
    build_site([tmp_path / "results"], site_records.make_registry(), tmp_path / "site")
    assert measure(tmp_path / "site")["board"]["rows"] > 10


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path)
    print(json.dumps(measure(parser.parse_args().site), indent=1))
