"""What every registered suite must do."""

from collections import Counter

import pytest

from bench.contract import SCALES
from bench.contract.registry import load

REGISTRY = load()


@pytest.mark.parametrize("slug", sorted(REGISTRY.suites))
def test_info_is_complete(slug: str) -> None:
    info = REGISTRY.suite(slug).info
    assert info.baseline in REGISTRY.methods_of(slug)
    assert info.points
    assert any(metric.primary for metric in info.costs.values()), "the frontier needs a primary cost"
    for scale in SCALES:
        assert info.bases[scale]
        assert info.timeout[scale] > 0
        assert {"seconds", "half_width"} <= set(info.timing[scale])
    for metric in [*info.scores.values(), *info.costs.values()]:
        assert metric.better in ("lower", "higher")
        assert metric.title


@pytest.mark.parametrize("slug", sorted(REGISTRY.suites))
def test_has_controls_and_methods(slug: str) -> None:
    kinds = Counter(cls.card.control for cls in REGISTRY.methods_of(slug).values())
    assert kinds[True] >= 2
    assert kinds[False] >= 1


@pytest.mark.parametrize("slug", sorted(REGISTRY.suites))
def test_readme_stands_beside_it(slug: str) -> None:
    folder = REGISTRY.suite(slug).info.folder
    assert (folder / "README.md").read_text().startswith("# ")


@pytest.mark.parametrize("slug", sorted(REGISTRY.suites))
def test_tiny_scale_needs_no_package(slug: str) -> None:
    suite = REGISTRY.suite(slug)
    assert suite.missing("tiny", suite.info.bases["tiny"][0]) is None
