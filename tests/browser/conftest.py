"""A browser, and a site for it: the system's Chromium under Playwright, without a download and without a network."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.publish.serve import serve
from bench.publish.site import build_site
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import RECORDS, REGISTRY, losses, save, times

CHROMIUM = os.environ.get("EFFBENCH_CHROMIUM") or next(
    (found for found in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if found), None
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder carries the marker."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with two kinds of hardware, two points to explore, eight more methods, a history, failures and a broken
    record."""
    folder = tmp_path_factory.mktemp("browser")
    rng = np.random.default_rng(3)
    more = []
    peaks = {"evaluate.process_peak_above_the_start_of_everything": 1e9}  # names are long
    for number in range(8):
        cost = float(rng.uniform(0.2, 0.5))
        values = {
            "losses": losses(0.1 + 0.1 * number, seed=number),
            "figures": {"stored_ratio": cost},
            **times(1.2 - cost),
        }
        more.append(make_record("alpha", variant=f"v{number}", memory=peaks | {"peak": 1e9 * (1 + number)}, **values))
        more.append(make_record("alpha", variant=f"v{number}", age=20, **values | {"losses": losses(0.9)}))
    other = [
        make_record(name, losses=losses(0.3), hardware="nvidia-test", age=1, **times(0.6))
        for name in ("alpha", "random")
    ]
    for name, cost in (("beta", 0.9), ("random", 0.7)):
        other.append(make_record(name, losses=losses(cost), figures={"stored_ratio": cost}, point="all", **times(cost)))
    results = save([*RECORDS, *more, *other], folder / "results")
    (results / "cpu-test/demo/broken.jsonl").write_text("{\n")
    build_site([results], REGISTRY, folder / "site")
    return folder / "site"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install .[browser]"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium: install one or name it in EFFBENCH_CHROMIUM")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def figures(data: Any, name: str) -> list[Any]:
    """A metric of every row of a board's data, on the hardware that it begins with."""
    at = [metric["name"] for metric in data["metrics"]].index(name)
    shared = sum(not metric["apart"] for metric in data["metrics"])
    own = data["on"][data["first"]]
    return [row["cells"][at] if at < shared else own[i][at - shared] for i, row in enumerate(data["rows"])]


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The site's address as a server has it, with a slash at the end."""
    with serve(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def visit(chromium: Any, site: Path) -> Iterator[Callable[..., Any]]:
    """Opens an address of the site (from its files, or below `at`), with options of the context; what a page complains
    of fails the test."""
    contexts, complaints = [], []

    def open_page(address: str, at: str | None = None, **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((at or site.as_uri() + "/") + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
