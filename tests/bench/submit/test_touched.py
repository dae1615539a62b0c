"""What `effbench run --changed` chooses: what a change can have touched, the suite's baseline beside it, no more."""

from pathlib import Path

import pytest

from bench.run.sandbox.catalogue import read_catalogue
from bench.submit.changes import Changes
from bench.submit.touched import touched_methods

ROOT = Path(__file__).resolve().parents[3]


def touched(*files: str) -> dict[str, list[str]]:
    return touched_methods(read_catalogue(ROOT), Changes(ROOT, "base", files))


def test_a_methods_own_file_touches_it_alone() -> None:
    assert touched("methods/lm_compression/layer_dropping/finercut.py") == {"lm-compression": ["dense", "finercut"]}


def test_a_helper_touches_its_family_and_no_other() -> None:
    (slugs,) = touched("methods/lm_compression/layer_dropping/_sublayers.py").values()
    assert {"finercut", "attention-drop"} <= set(slugs)
    assert "flap" not in slugs


def test_a_suite_touches_all_its_methods() -> None:
    found = touched("suites/operator_data/suite.toml")
    assert list(found) == ["operator-data"]
    assert set(read_catalogue(ROOT).slugs("operator-data")) == set(found["operator-data"])


@pytest.mark.parametrize(
    "file",
    [
        "README.md",
        "bench/run/runner.py",
        "suites/operator_data/README.md",
        "methods/lm_compression/layer_dropping/README.md",
    ],
)
def test_what_no_method_is_made_of_touches_none(file: str) -> None:
    assert touched(file) == {}
