"""The site of the test's records, built once."""

from pathlib import Path

import pytest

from bench.publish.site import build_site
from tests.bench.publish.site_factory import RECORDS, REGISTRY, save


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    save(RECORDS, folder / "results")
    (folder / "results/cpu-test/demo/broken.jsonl").write_text('{"id": \n')
    built = build_site([folder / "results"], REGISTRY, folder / "site")
    assert built.index.name == "index.html"
    assert built.records == len(RECORDS)
    return built.index.parent
