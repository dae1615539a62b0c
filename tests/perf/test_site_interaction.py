"""How long a visitor waits: opening a page, sorting, filtering, setting a limit, switching an axis or the point.

On demand: `python tests/perf/test_site_interaction.py SITE` with a built site; its heaviest board and section are used.
Milliseconds from the event to the end of the layout that follows, in headless Chromium. On a machine with other work
look at the best of the rounds.
"""

import argparse
import json
import statistics
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
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return [worked, performance.now() - started];
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
        page = browser.new_page()
        others = sorted(board.parent.glob("*.html"))
        switched = [_open(page, others[i % len(others)]) for i in range(12)]
        report["switch the operating point"] = _said(switched[2:])
        browser.close()
    return report


def _open(page: Any, path: Path) -> float:
    """Milliseconds until the page's own scripts have run; pages with a plot draw it after that."""
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    done: float = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    if page.query_selector("#explorer"):
        page.wait_for_selector(".interactive svg")
    return done


def _time(page: Any, select: str, act: str) -> dict[str, float]:
    page.wait_for_selector(select, state="attached")
    return _said([page.evaluate(TIMED, [select, act])[0] for _ in range(ROUNDS)])


def _said(samples: list[float]) -> dict[str, float]:
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
