"""How long a visitor waits: opening a page, sorting, filtering, setting a limit, switching an axis or the point.

On demand: `python tests/perf/test_site_interaction.py SITE` with a built site; its heaviest board and section are used.
Milliseconds from the event until what follows is on the screen (layout, paint), in headless Chromium; "worked" is the
part of it in which the page computes. The operating point is switched as on the web, from a server on this machine:
from the click until the new board has been painted (two frames), with the mouse on the link for a while before, and
at once after the page was opened. Beside it stands what another page costs, from the click to its first paint: the same
boards, and two pages of text. On a machine with other work look at the best of the rounds: the load average is there.
"""

import argparse
import json
import os
import statistics
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.publish.serve import serve
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
SWITCHED = """link => new Promise((done) => {
  const started = performance.now();
  const observer = new MutationObserver(() => {
    observer.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - started)));
  });
  observer.observe(document.body, { childList: true }); // <main> is replaced
  link.click();
})"""
OTHERS = "nav[data-points] a:not([aria-current])"
CLICK = "link => { sessionStorage.clicked = performance.timeOrigin + performance.now(); link.click(); }"
LEAVE = CLICK.replace("link.click()", "location.assign(link.href)")
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

    board = max(site.glob("suites/*/*/*/*.html"), key=lambda path: path.stat().st_size)
    section = max(site.glob("suites/*/*/*.html"), key=lambda path: path.stat().st_size)
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
        with serve(site, 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            report |= _switches(browser, f"http://127.0.0.1:{server.server_port}/", board.relative_to(site).as_posix())
            server.shutdown()
        browser.close()
    report["load average"] = round(os.getloadavg()[0], 1)
    return report


def _switches(browser: Any, root: str, board: str) -> dict[str, dict[str, float]]:
    """Switches of the operating point in place, and what another page costs."""

    def opened(address: str) -> Any:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(root + address)
        return page

    ready, at_once, apart = [], [], []
    page = opened(board)
    for i in range(ROUNDS + 2):
        links = page.locator(OTHERS)
        link = links.nth(i % links.count())
        link.hover()
        page.wait_for_load_state("networkidle")
        ready.append(link.evaluate(SWITCHED))
    page.close()
    for i in range(ROUNDS):
        page = opened(board)
        page.wait_for_selector(".interactive svg")
        links = page.locator(OTHERS)
        at_once.append(links.nth(i % links.count()).evaluate(SWITCHED))
        page.close()
    page = opened(board)
    for i in range(ROUNDS + 2):
        links = page.locator(OTHERS)
        apart.append(_leave(page, links.nth(i % links.count()), LEAVE))
        page.wait_for_selector(".interactive svg")
    page.goto(root + "submit.html")
    other = ("How it is measured", "Submit")
    text = [_leave(page, page.get_by_role("link", name=other[i % 2], exact=True), CLICK) for i in range(ROUNDS + 2)]
    page.close()
    return {
        "switch the operating point, mouse on the link before": _said(ready[2:]),
        "switch the operating point, at once": _said(at_once),
        "the same as another page, for comparison": _said(apart[2:]),
        "two pages of text, for comparison": _said(text[2:]),
    }


def _leave(page: Any, link: Any, act: str) -> float:
    """Milliseconds from leaving by a link to the first paint of its page."""
    with page.expect_navigation(wait_until="domcontentloaded"):
        link.evaluate(act)
    painted: float = page.evaluate(PAINTED)
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
