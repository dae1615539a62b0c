"""How methods and suites are found, and what happens where one is broken."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.contract import Card, Claim, Limits
from bench.contract import registry as registry_module
from bench.contract.registry import SlugTaken, UnknownName, load, read_suite_info

METHOD = """
from dataclasses import dataclass
from bench.contract import Card, Method

@dataclass(frozen=True)
class Mine(Method):
    card = Card(slug="{slug}", suite="toy", title="Mine", paper="none", control=True)
    def build(self, task, limits): ...
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes a module and registers it by an entry point, as somebody else's package would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[effbench.methods]\n{name} = {name}\n")
        load.cache_clear()

    yield write
    load.cache_clear()
    for name in ("plugin_a", "plugin_b"):
        sys.modules.pop(name, None)


def test_method_of_another_package_is_found(plugin: Callable[[str, str], None]) -> None:
    plugin("plugin_a", METHOD.format(slug="mine"))
    assert load().method("mine").card.title == "Mine"


def test_slug_that_is_taken_names_both(plugin: Callable[[str, str], None]) -> None:
    plugin("plugin_a", METHOD.format(slug="mine"))
    plugin("plugin_b", METHOD.format(slug="mine"))
    with pytest.raises(SlugTaken, match=r"'mine' is taken: plugin_a\.Mine and plugin_b\.Mine; rename"):
        load()


def test_module_that_fails_is_named_and_takes_nobody_along(plugin: Callable[[str, str], None]) -> None:
    plugin("plugin_a", "import a_package_that_nobody_has")
    plugin("plugin_b", METHOD.format(slug="mine"))
    registry = load()
    assert "mine" in registry.methods
    assert any("plugin_a" in problem and "a_package_that_nobody_has" in problem for problem in registry.problems)


def test_load_of_some_modules_imports_no_other(plugin: Callable[[str, str], None]) -> None:
    plugin("plugin_a", METHOD.format(slug="mine"))
    plugin("plugin_b", "raise RuntimeError('must not be imported')")
    registry = load(("plugin_a",))
    assert (set(registry.methods), registry.problems) == ({"mine"}, ())


def test_unknown_name_far_from_all_lists_what_there_is() -> None:
    with pytest.raises(UnknownName, match=r"unknown method 'zzzzzz'; known: .*dense"):
        load().method("zzzzzz")


def test_suite_needs_exactly_one_primary_score(tmp_path: Path) -> None:
    source = registry_module.load().suite("operator-data").info.folder / "suite.toml"
    path = tmp_path / "suite.toml"
    path.write_text(source.read_text().replace("primary = true", "primary = false"))
    with pytest.raises(ValueError, match="exactly one score must be primary"):
        read_suite_info(path)


def test_card_refuses_what_the_site_could_not_show() -> None:
    good = {"slug": "a", "suite": "s", "title": "t", "paper": "p", "control": True}
    for changes, message in (
        ({"slug": "Bad Slug"}, "lower-case"),
        ({"url": "javascript:alert(1)"}, "https://"),
        ({"control": False}, "at least one claim"),
        ({"control": False, "reference": True}, "set control=True"),
    ):
        with pytest.raises(ValueError, match=message):
            Card(**(good | changes))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no source"):
        Claim("It is better.", " ", "perplexity")


ALLOWANCES = """
slug = "toy"
version = "1"
title = "Toy"
summary = "A toy."
baseline = "mine"
bases = { tiny = ["a"], full = ["b"] }
timing = {}
timeout = {}
costs = {}
allowances.full = { seconds = 4, FACTOR }
points.small = { title = "Small", limits = { stored_ratio = 0.5 }, build = { seconds = 10, tokens = 100, rows = 7 } }
points.none = { title = "No training", build = { tokens = 0 } }
scores.good = { title = "Good", primary = true }
"""


def test_a_scale_may_have_more_of_what_a_point_allows(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(ALLOWANCES.replace("FACTOR", "tokens = 2.5"))
    points = read_suite_info(path).points
    assert points["small"].at("tiny").limits == points["small"].limits
    assert points["small"].at("full").limits == Limits({"stored_ratio": 0.5}, 40, None, {"tokens": 250, "rows": 7})
    assert points["none"].at("full").limits == Limits({}, None, None, {"tokens": 0})
    assert points["small"].at("full").at("full").limits.build_seconds == 40


def test_an_allowance_of_what_no_point_limits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(ALLOWANCES.replace("FACTOR", "token = 2.5"))
    with pytest.raises(ValueError, match=r"allowances\.full: no point limits 'token'; there are .*'tokens'"):
        read_suite_info(path)
