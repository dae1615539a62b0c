"""A record with another key than today's is called stale, with what changed since; no other is."""

from pathlib import Path

import pytest

from bench import measure
from bench.publish.freshness import OTHER, Age, read_freshness
from bench.publish.site import build_site
from bench.record.schema import Record
from bench.registry.key import key_of, run_of
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import HALF, HOME, Page, losses, save, times
from tests.bench.small_checkout import (
    ALPHA,
    HELPER,
    Change,
    append,
    commit,
    git,
    make_checkout,
    move,
    registry_of,
    replace,
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path)


def record(root: Path, instruments: int = measure.VERSION, **changes: object) -> Record:
    """A record that is made by the code as it is now."""
    made = make_record("alpha", losses=losses(0.2), **times(0.7))
    environment = made.environment.model_copy(update={"commit": git(root, "rev-parse", "HEAD"), "dirty": False})
    made = made.model_copy(update={"environment": environment, "hyperparameters": {"samples": 256}})
    return made.model_copy(update={"key": key_of(registry_of(root), run_of(made), instruments)} | changes)


def age(root: Path, found: Record) -> Age:
    return read_freshness(registry_of(root), [found.environment.commit or ""], root).of(found)


METHOD_CHANGED = ("the method's code changed",)
SUITE_CHANGED = ("the suite's code or settings changed",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replace("return half(task)", "return half(half(task))", ALPHA), METHOD_CHANGED),
        (replace("return task", "return [task]", HELPER), METHOD_CHANGED),
        (replace("return 1", "return 2", HELPER), ()),
        (replace('paper="A"', 'paper="B"', ALPHA), ()),
        (move, ()),
        (append("suites/demo/main.py"), SUITE_CHANGED),
        (replace("0.5", "0.4"), SUITE_CHANGED),
        (replace("tiny = { seconds = 1 }", "tiny = { seconds = 2 }"), SUITE_CHANGED),
        (replace("full = { seconds = 1 }", "full = { seconds = 2 }"), ()),
        (append("other.py"), ()),
        (append(ALPHA, "# why\n"), ()),
        (append(ALPHA, '"""Better words."""\n'), ()),
        (append("suites/demo/main.py", "("), SUITE_CHANGED),
        (append("suites/demo/main.py", "\n\n"), ()),
        (append("suites/demo/data.yaml"), SUITE_CHANGED),
        (append("suites/demo/data.yaml", "# why\n"), SUITE_CHANGED),
        (replace("tiny = 1", "tiny = 2"), SUITE_CHANGED),
        (replace("full = 3", "full = 4"), ()),
        (replace("seconds = 6", "seconds = 7"), ()),
        (replace("A suite.", "The suite."), ()),
        (replace("Half", "The half"), ()),
        (lambda root: None, ()),
    ],
)
def test_what_changed_since_the_commit_is_named(checkout: Path, change: Change, said: tuple[str, ...]) -> None:
    before = record(checkout)
    change(checkout)
    assert age(checkout, before) == Age(said)


def test_other_instruments_are_named(checkout: Path) -> None:
    older = measure.VERSION - 1
    replace(f"VERSION = {measure.VERSION}", f"VERSION = {older}", "bench/measure/__init__.py")(checkout)
    commit(checkout)
    assert age(checkout, record(checkout, instruments=older)) == Age(("the instruments changed",))


def test_other_hyperparameters_and_versions_are_stale(checkout: Path) -> None:
    made = record(checkout)
    replace("samples: int = 256", "samples: int = 128", ALPHA)(checkout)
    assert age(checkout, made).stale == ("hyper-parameters changed: samples", *METHOD_CHANGED)
    replace("samples: int = 128", "samples: int = 256\n    rate: float = 0.1", ALPHA)(checkout)
    assert age(checkout, made).stale == ("hyper-parameters changed: rate", *METHOD_CHANGED)
    old = made.model_copy(update={"suite_version": "0"})
    assert age(checkout, old).stale[0] == "the suite has version 1, it had 0"
    for changes, said in (
        ({"variant": "gone"}, "the variant is no longer there"),
        ({"point": "gone"}, "the operating point is no longer there"),
        ({"method": "gone"}, "the method is no longer registered"),
        ({"suite": "gone"}, "the suite is no longer registered"),
    ):
        assert age(checkout, made.model_copy(update=changes)).stale == (said,)


@pytest.mark.parametrize("named", ["0" * 40, "--output=x", "abc", None])
def test_without_its_commit_a_record_is_told_by_its_key_alone(checkout: Path, named: str | None) -> None:
    made = record(checkout)
    made = made.model_copy(update={"environment": made.environment.model_copy(update={"commit": named})})
    assert age(checkout, made) == Age()
    replace("return half(task)", "return None", ALPHA)(checkout)
    found = age(checkout, made)
    assert found.stale == (OTHER,)
    assert found.unknown
    assert not (checkout / "x").exists()


def test_a_dirty_tree_is_not_compared(checkout: Path) -> None:
    made = record(checkout)
    dirty = made.model_copy(update={"environment": made.environment.model_copy(update={"dirty": True})})
    assert age(checkout, dirty) == Age()
    replace("return half(task)", "return None", ALPHA)(checkout)
    assert age(checkout, dirty) == Age((OTHER,), "it was measured with uncommitted changes")


def test_a_page_that_becomes_stale_is_written_again(checkout: Path, tmp_path: Path) -> None:
    results = save([record(checkout)], tmp_path / "results")

    def shown() -> Page:
        build_site([results], registry_of(checkout), tmp_path / "site", checkout=checkout)
        return Page(tmp_path / f"site/{HALF}.html")

    assert "stale" not in shown().row("alpha")
    replace("return half(task)", "return None", ALPHA)(checkout)
    assert "stale" in shown().row("alpha")
    assert "1 of 1 rows" in shown().text
    assert (
        "Stale. Since this was measured: the method's code changed"
        in Page(tmp_path / f"site/{HOME}/alpha/default.html").text
    )
    assert "stale" in Page(tmp_path / "site/methods/demo/alpha.html").text
    git(checkout, "checkout", "-q", ALPHA)
    assert "stale" not in shown().row("alpha")
