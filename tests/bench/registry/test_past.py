"""The checkout at a commit: methods and problems are found by slug, wherever they lay."""

from pathlib import Path

import pytest

from bench.registry.past import known_commits, method_changed, problem_changed, read_past, settings_changed
from tests.bench.small_checkout import ALPHA, HELPER, append, commit, git, make_checkout, move, registry_of, replace


def test_what_moved_is_the_same(tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    past = read_past(root, git(root, "rev-parse", "HEAD"))
    assert past is not None
    move(root)
    registry = registry_of(root)
    assert not method_changed(registry, past, registry.find("alpha"))
    assert not problem_changed(registry, past, "demo", "main")
    assert not settings_changed(registry, past, "demo", "half", "tiny")


def test_what_changed_is_another(tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    past = read_past(root, git(root, "rev-parse", "HEAD"))
    assert past is not None
    for change in (replace("return task", "return 0", HELPER), append("suites/demo/main.py"), replace("0.5", "0.4")):
        change(root)
    registry = registry_of(root)
    changed = {name: method_changed(registry, past, registry.find(name)) for name in ("alpha", "beta", "dense")}
    assert changed == {"alpha": True, "beta": True, "dense": False}
    assert problem_changed(registry, past, "demo", "main")
    assert settings_changed(registry, past, "demo", "half", "tiny")


def test_a_method_of_an_older_layout_is_found_by_its_card(tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    (root / "methods/family").mkdir()
    (root / "methods/family/old.py").write_text((root / ALPHA).read_text().replace('"alpha"', '"old", suite="demo"'))
    (root / "suites/old").mkdir()
    (root / "suites/old/suite.toml").write_text('slug = "old"\n')  # says less than is asked for today
    past = read_past(root, commit(root))
    assert past is not None
    assert past.method_hash("demo", "old") == past.method_hash("demo", "alpha")
    assert past.method_hash("demo", "none") is None
    assert past.problem_hash("old", "main") is None


@pytest.mark.parametrize("named", ["0" * 40, "--output=x", "abc", "", "HEAD"])
def test_what_is_no_commit_is_not_known(named: str, tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    here = git(root, "rev-parse", "HEAD")
    assert read_past(root, named) is None
    assert known_commits(root, [named, here]) == {here}
    assert read_past(tmp_path, here) is None
    assert not (root / "x").exists()
