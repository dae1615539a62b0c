"""A record measured with other code, settings or hyper-parameters than today's is called stale; no other is."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.contract.registry import read_suite_info
from bench.publish.freshness import Age, read_freshness
from bench.publish.site import build_site
from bench.record.schema import Record
from tests.bench.analyse.record_factory import make_info, make_record
from tests.bench.publish.site_factory import HALF, Page, losses, make_method, make_registry, save, times

SUITE = """
slug = "demo"
version = "1"
title = "Demo"
summary = "A suite."
baseline = "dense"
[points.half]
title = "Half"
limits = { stored_ratio = 0.5 }
[scores.perplexity]
title = "Perplexity"
primary = true
[costs]
[bases]
tiny = ["toy"]
[settings.words]
tiny = 1
full = 3
[allowances.full]
seconds = 6
[timing.tiny]
seconds = 1
[timeout]
tiny = 60
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A work tree with a method, a suite and the version of the instruments, committed."""
    root = tmp_path / "checkout"
    for name, text in {
        "stale_demo.py": "X = 1\n", "demo/suite.toml": SUITE, "demo/suite.py": "", "other.py": "",
        "demo/data.yaml": "1\n", "bench/measure/__init__.py": "V = 1\n",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "c")
    sys.path.insert(0, str(root))
    yield root
    sys.path.remove(str(root))
    sys.modules.pop("stale_demo", None)


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def registry(root: Path) -> Any:
    __import__("stale_demo")
    alpha = make_method("alpha")
    alpha.__module__ = "stale_demo"
    found = make_registry(alpha)
    info = read_suite_info(root / "demo/suite.toml")
    type(found.suites["demo"]).info = make_info(folder=info.folder)
    return found


def record(root: Path, **changes: Any) -> Record:
    made = make_record("alpha", losses=losses(0.2), **times(0.7))
    environment = made.environment.model_copy(update={"commit": git(root, "rev-parse", "HEAD"), "dirty": False})
    return made.model_copy(update={"environment": environment, "hyperparameters": {"samples": 256}} | changes)


def age(root: Path, found: Record) -> Age:
    return read_freshness(registry(root), [found.environment.commit or ""], root).of(found)


def append(name: str, text: str = "Y = 2\n") -> Callable[[Path], None]:
    return lambda root: (root / name).write_text((root / name).read_text() + text)


def replace(old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / "demo/suite.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (append("stale_demo.py"), ("the method's code changed",)),
        (append("demo/suite.py"), ("the suite's code or settings changed",)),
        (replace("0.5", "0.4"), ("the suite's code or settings changed",)),
        (replace("seconds = 1", "seconds = 2"), ("the suite's code or settings changed",)),
        (append("bench/measure/__init__.py"), ("the instruments changed",)),
        (append("other.py"), ()),
        (append("stale_demo.py", "# why\n"), ()),
        (append("stale_demo.py", '"""Better words."""\n'), ()),
        (append("demo/suite.py", "("), ("the suite's code or settings changed",)),
        (append("demo/suite.py", "\n\n"), ()),
        (append("demo/data.yaml"), ("the suite's code or settings changed",)),
        (append("demo/data.yaml", "# why\n"), ("the suite's code or settings changed",)),
        (replace("tiny = 1", "tiny = 2"), ("the suite's code or settings changed",)),
        (replace("full = 3", "full = 4"), ()),
        (replace("seconds = 6", "seconds = 7"), ()),
        (replace("A suite.", "The suite."), ()),
        (replace("Half", "The half"), ()),
        (lambda root: None, ()),
    ],
)
def test_what_changed_since_the_commit_is_named(
    checkout: Path, change: Callable[[Path], None], said: tuple[str, ...]
) -> None:
    before = record(checkout)
    change(checkout)
    assert age(checkout, before) == Age(said)


def test_other_hyperparameters_and_versions_are_stale(checkout: Path) -> None:
    assert age(checkout, record(checkout, hyperparameters={"samples": 128})).stale == (
        "hyper-parameters changed: samples",
    )
    assert age(checkout, record(checkout, suite_version="0")).stale == ("the suite has version 1, it had 0",)
    assert age(checkout, record(checkout, variant="gone")).stale == ("the variant is no longer there",)
    assert age(checkout, record(checkout, method="gone")).stale == ("the method is no longer registered",)


@pytest.mark.parametrize("commit", ["0" * 40, "--output=x", "abc", None])
def test_what_cannot_be_known_is_not_called_stale(checkout: Path, commit: str | None) -> None:
    made = record(checkout)
    append("stale_demo.py")(checkout)
    found = age(
        checkout, made.model_copy(update={"environment": made.environment.model_copy(update={"commit": commit})})
    )
    assert found.stale == ()
    assert found.unknown


def test_a_dirty_tree_is_not_compared(checkout: Path) -> None:
    made = record(checkout)
    append("stale_demo.py")(checkout)
    dirty = made.model_copy(update={"environment": made.environment.model_copy(update={"dirty": True})})
    assert age(checkout, dirty).stale == ()
    assert "uncommitted" in age(checkout, dirty).unknown


def test_a_page_that_becomes_stale_is_written_again(checkout: Path, tmp_path: Path) -> None:
    results = save([record(checkout)], tmp_path / "results")

    def shown() -> Page:
        build_site([results], registry(checkout), tmp_path / "site", checkout=checkout)
        return Page(tmp_path / f"site/{HALF}.html")

    assert "stale" not in shown().row("alpha")
    append("stale_demo.py")(checkout)
    assert "stale" in shown().row("alpha")
    assert "1 of 1 rows" in shown().text
    assert (
        "Stale. Since this was measured: the method's code changed"
        in Page(tmp_path / f"site/{HALF}/alpha/default.html").text
    )
    assert "stale" in Page(tmp_path / "site/methods/alpha.html").text
    git(checkout, "checkout", "-q", "stale_demo.py")
    assert "stale" not in shown().row("alpha")
