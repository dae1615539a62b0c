"""What the night says of code: whether it is that of a commit, and which files changed."""

from pathlib import Path

import pytest

from bench.nightly.sources import Sources
from bench.registry import Registry
from bench.run.plan import Job, Selection, make_plan
from tests.bench.small_checkout import ALPHA, HELPER, Change, append, git, make_checkout, move, registry_of, replace

TOOL = "methods/_techniques/tool.py"


def alpha(registry: Registry) -> Job:
    (job,) = make_plan(registry, Selection("demo", ["alpha"], scale="tiny", threads=1))
    return job


@pytest.mark.parametrize(
    ("change", "same", "files"),
    [
        (lambda root: None, True, set()),
        (move, True, set()),
        (append(ALPHA, "# why\n"), True, set()),
        (replace("return task", "return 0", HELPER), False, {HELPER}),
        (replace("x + 1", "x + 2", TOOL), True, {TOOL}),  # what it is compared with is the baseline
        (replace("0.5", "0.4"), False, {"suites/demo/suite.toml"}),
        (append("suites/demo/main.py"), False, {"suites/demo/main.py"}),
        (append("bench/measure/__init__.py"), True, {"bench/measure/__init__.py"}),
        (append("other.py"), True, set()),
    ],
)
def test_what_changed_since_a_commit(change: Change, same: bool, files: set[str], tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    commit = git(root, "rev-parse", "HEAD")
    change(root)
    registry = registry_of(root)
    sources = Sources(registry, root)
    assert sources.same_code(alpha(registry), commit) is same
    assert sources.changed_files(alpha(registry), commit) == files


@pytest.mark.parametrize("commit", [None, "0" * 40, "--output=x"])
def test_nothing_is_known_without_the_commit(commit: str | None, tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    registry = registry_of(root)
    sources = Sources(registry, root)
    assert not sources.same_code(alpha(registry), commit)
    assert sources.changed_files(alpha(registry), commit) is None
