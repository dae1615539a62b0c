"""How suites and methods are found without running them, and what happens where one is broken."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.contract import Card, Claim
from bench.registry import Registry, UnknownName, open_registry
from bench.registry.names import AmbiguousName

METHOD = """
from dataclasses import dataclass
from bench.contract import Card, Method

@dataclass(frozen=True)
class Mine(Method):
    '''What it does.'''

    card = Card(slug="{slug}", title="Mine", paper="none", control=True)
    variants = {{"default": {{}}, "large": {{"side": 9}}}}
    at_point = {{"narrow": {{"side": 0.5}}}}
    side: float = 1.0

    def build(self, task): ...
"""

SUITE = """
slug = "{slug}"
area = "science"
version = "1"
title = "Toy"
summary = "A toy."
baseline = "mine"
bases = {{ tiny = ["a"], embedded = ["a"], full = ["a"] }}
timing = {{ tiny = {{}}, embedded = {{}}, full = {{}} }}
timeout = {{ tiny = 1, embedded = 1, full = 1 }}
problems.boxes = {{ title = "Boxes" }}
problems.hats = {{ title = "Hats" }}
points.narrow = {{ title = "Narrow", problem = "boxes" }}
points.tall = {{ title = "Tall", problem = "hats" }}
scores.good = {{ title = "Good", primary = true }}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[..., Registry]:
    """Writes files of a checkout and opens its registry."""

    def write(**files: str) -> Registry:
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + (".toml" if name.endswith("suite") else ".py"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
            if path.name == "suite.toml":
                for problem in ("boxes", "hats"):
                    (path.parent / f"{problem}.py").touch()
        return open_registry(tmp_path, plugins=False)

    open_registry.cache_clear()
    return write


def test_a_method_is_read_from_its_file(checkout: Callable[..., Registry]) -> None:
    registry = checkout(
        suites__toy__suite=SUITE.format(slug="toy"),
        methods__toy__box_making__mine="import a_package_that_nobody_has\n" + METHOD.format(slug="mine"),
    )
    mine = registry.method("toy", "mine")
    assert (mine.suite, mine.family, mine.module, mine.name) == (
        "toy", "box-making", "methods.toy.box_making.mine", "Mine",
    )  # fmt: skip
    assert (mine.card.title, mine.doc) == ("Mine", "What it does.")
    assert mine.settings("default") == {}
    assert mine.settings("default", "narrow") == {"side": 0.5}
    assert mine.settings("large", "narrow") == {"side": 9}
    assert not registry.faults


def test_two_suites_may_use_one_slug_and_a_bare_one_is_ambiguous(checkout: Callable[..., Registry]) -> None:
    registry = checkout(
        suites__toy__suite=SUITE.format(slug="toy"),
        suites__zoo__suite=SUITE.format(slug="zoo"),
        methods__toy__a__mine=METHOD.format(slug="mine"),
        methods__zoo__a__mine=METHOD.format(slug="mine"),
        methods__zoo__a__other=METHOD.format(slug="other"),
    )
    assert registry.find("zoo/mine").suite == "zoo"
    assert registry.find("other").suite == "zoo"
    with pytest.raises(AmbiguousName, match="'mine' is ambiguous: toy/mine or zoo/mine"):
        registry.find("mine")
    with pytest.raises(UnknownName, match=r"unknown method of suite toy \(it belongs to zoo\) 'other'"):
        registry.method("toy", "other")


def test_a_slug_that_is_taken_is_a_fault_that_names_both(checkout: Callable[..., Registry]) -> None:
    registry = checkout(
        suites__toy__suite=SUITE.format(slug="toy"),
        methods__toy__a__one=METHOD.format(slug="mine"),
        methods__toy__a__two=METHOD.format(slug="mine"),
    )
    (fault,) = registry.faults
    assert "mine" in fault
    assert "one" in fault
    assert "two" in fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def broken(:", "methods/toy/a/bad.py"),
        (METHOD.format(slug="bad").replace('"none"', "PAPER()"), "has to be written out"),
        (METHOD.format(slug="bad").replace('"narrow"', '"wide"'), "wide"),
        (METHOD.format(slug="Bad Slug"), "lower-case"),
        (METHOD.format(slug="bad").replace("control=True", 'control=True, problems=("bags",)'), "bags"),
    ],
)
def test_what_is_broken_is_named_and_takes_nobody_along(
    checkout: Callable[..., Registry], text: str, said: str
) -> None:
    registry = checkout(
        suites__toy__suite=SUITE.format(slug="toy"),
        methods__toy__a__mine=METHOD.format(slug="mine"),
        methods__toy__a__bad=text,
    )
    assert list(registry.methods_of("toy")) == ["mine"]
    (fault,) = registry.faults
    assert "bad.py" in fault
    assert said in fault


def test_a_broken_suite_takes_no_other_along(checkout: Callable[..., Registry]) -> None:
    registry = checkout(
        suites__toy__suite=SUITE.format(slug="toy"),
        suites__zoo__suite="slug = ",
        methods__toy__a__mine=METHOD.format(slug="mine"),
        methods__zoo__a__mine=METHOD.format(slug="mine"),
    )
    assert list(registry.suites) == ["toy"]
    assert any("suites/zoo/suite.toml" in fault for fault in registry.faults)


def test_a_method_may_be_for_some_problems(checkout: Callable[..., Registry]) -> None:
    registry = checkout(
        suites__toy__suite=SUITE.format(slug="toy"),
        methods__toy__a__mine=METHOD.format(slug="mine"),
        methods__toy__a__hat=METHOD.format(slug="hat").replace("control=True", 'control=True, problems=("hats",)')
        .replace('at_point = {"narrow": {"side": 0.5}}', ""),
    )  # fmt: skip
    hat, mine = registry.method("toy", "hat"), registry.method("toy", "mine")
    assert (hat.is_for("hats"), hat.is_for("boxes")) == (True, False)
    assert mine.is_for("boxes")
    assert mine.is_for("hats")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Registry]]:
    """Writes a module and registers it by an entry point, as somebody else's package would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, source: str) -> Registry:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[effbench.methods]\n{name} = {name}\n")
        open_registry.cache_clear()
        return open_registry()

    yield write
    open_registry.cache_clear()
    for name in ("plugin_a", "plugin_b"):
        sys.modules.pop(name, None)


OF_ANOTHER = METHOD.replace('title="Mine"', 'suite="operator-data", title="Mine"').replace('"narrow"', '"laplace"')


def test_a_method_of_another_package_is_found(plugin: Callable[[str, str], Registry]) -> None:
    source = OF_ANOTHER.format(slug="mine").replace('at_point = {"laplace": {"side": 0.5}}', "")
    assert plugin("plugin_a", source).method("operator-data", "mine").card.title == "Mine"


def test_a_module_that_is_broken_is_named_and_takes_nobody_along(plugin: Callable[[str, str], Registry]) -> None:
    plugin("plugin_a", "def broken(:")
    source = OF_ANOTHER.format(slug="mine").replace('at_point = {"laplace": {"side": 0.5}}', "")
    registry = plugin("plugin_b", source)
    assert "mine" in registry.methods_of("operator-data")
    assert any("plugin_a" in fault for fault in registry.faults)


def test_unknown_name_far_from_all_lists_what_there_is() -> None:
    with pytest.raises(UnknownName, match=r"unknown method of suite lm-compression 'zzzzzz'; known: .*dense"):
        open_registry(plugins=False).method("lm-compression", "zzzzzz")


def test_nothing_of_ours_is_at_fault() -> None:
    registry = open_registry(plugins=False)
    assert registry.faults == ()
    assert len(registry.methods) > 60


def test_card_refuses_what_the_site_could_not_show() -> None:
    good = {"slug": "a", "title": "t", "paper": "p", "control": True}
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
