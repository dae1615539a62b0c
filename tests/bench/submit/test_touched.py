"""What `effbench run --changed` and the report call touched: what runs otherwise now, and no more."""

from pathlib import Path

import pytest

from bench.submit.changes import changes, touched_methods
from tests.bench.small_checkout import ALPHA, HELPER, Change, append, make_checkout, move, registry_of, replace

ALL = {"demo": ["alpha", "beta", "dense"]}


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        (replace("half(task)", "half(half(task))", ALPHA), {"demo": ["alpha"]}),
        (replace("samples: int = 256", "samples: int = 128", ALPHA), {"demo": ["alpha"]}),
        (replace("return task", "return [task]", HELPER), {"demo": ["alpha", "beta"]}),
        (replace("return 1", "return 2", HELPER), {}),
        (replace("x + 1", "x + 2", "methods/_techniques/tool.py"), {"demo": ["dense"]}),
        (append("suites/demo/main.py"), ALL),
        (append("suites/demo/data.yaml"), ALL),
        (replace("0.5", "0.4"), ALL),
        (replace("full = { seconds = 1 }", "full = { seconds = 2 }"), ALL),
        (replace('title = "Half"', 'title = "The half"'), {}),
        (replace('title="A title"', 'title="Another"', ALPHA), {}),
        (append(ALPHA, "# why\n"), {}),
        (append("suites/demo/README.md"), {}),
        (append("other.py"), {}),
        (append("bench/measure/__init__.py"), {}),
        (move, {}),
    ],
)
def test_touched(change: Change, touched: dict[str, list[str]], tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    change(root)
    assert touched_methods(registry_of(root), changes(root)) == touched


def test_a_new_method_and_one_that_can_not_be_read_are_touched(tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    (root / "methods/demo/family/gamma.py").write_text((root / ALPHA).read_text().replace('"alpha"', '"gamma"'))
    append(HELPER, "(")(root)
    assert touched_methods(registry_of(root), changes(root)) == {"demo": ["alpha", "beta", "gamma"]}
