"""Mutation testing: what it changes, and that it finds what a method's tests do not notice."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("mutmut", reason="comes with the extra `mutants`")

METHOD = '''
from dataclasses import dataclass

from methods.toy._helper import doubled


@dataclass(frozen=True)
class Half:
    card = dict(slug="half")
    ratio: float = 0.5

    def build(self, values: list[int]) -> int:
        """The sum."""
        total = at = 0
        while at < len(values):
            total += doubled(values[at])
            at += 1
        if total < 0:
            raise ValueError(f"less than {total}")
        return total


def unused(x: int) -> int:
    return x + 1
'''
HELPER = """
def decorate(function):
    return function


@decorate
def doubled(x: int) -> int:
    return (2 * x)
"""
TEST = """
from methods.toy.half import Half


def test_the_sum() -> None:
    assert Half().build([1, 2]) == 6
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A method, its helper that is decorated, and a test that never calls what stands last in the method's file."""
    files = {
        "methods/__init__.py": "",
        "methods/toy/__init__.py": "",
        "methods/toy/half.py": METHOD,
        "methods/toy/_helper.py": HELPER,
        "tests/methods/test_half.py": TEST,
        "tests/methods/test_other.py": "from methods.toy import other\n\n\ndef test_other():\n    raise OSError\n",
        "methods/toy/other.py": "",
        "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\naddopts = "--import-mode=importlib"\n'
        'markers = ["slow: s", "gpu: g", "browser: b"]\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture(scope="module")
def mutants() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", Path(__file__).with_name("mutants.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_the_method_and_its_helpers_are_changed_under_its_own_tests(tree: Path, mutants: ModuleType) -> None:
    files = mutants.with_helpers(tree, mutants.file_of(tree, "half"))
    assert files == [Path("methods/toy/half.py"), Path("methods/toy/_helper.py")]
    assert mutants.tests_of(tree, files) == [Path("tests/methods/test_half.py")]
    with pytest.raises(SystemExit, match="no card"):
        mutants.file_of(tree, "third")


def test_what_computes_is_changed_and_neither_types_nor_messages(tree: Path, mutants: ModuleType) -> None:
    of = {name: mutants.mutants(tree, Path("methods/toy", name)) for name in ("half.py", "_helper.py")}
    changed = [mutants.told(tree, each) for found in of.values() for each in found]
    assert len(changed) == len(set(changed))
    for wanted in ("+    return (2 / x)", "+    return (3 * x)", "+    return x - 1", "total = doubled(values[at])"):
        assert any(wanted in each for each in changed), wanted
    for spared in ("less than", "list[int]", "ratio", "decorate", "The sum"):
        assert not any(f"-{spared}" in each or spared in each.split("\n    +")[-1] for each in changed), spared
    assert [each.line for each in of["_helper.py"]] == [8] * len(of["_helper.py"])


@pytest.mark.slow
def test_the_command_prints_what_no_test_notices_and_a_mutant_in_a_loop_ends(tree: Path) -> None:
    """As one does in which `at` stays where it is."""
    script = Path(__file__).with_name("mutants.py")
    command = [sys.executable, str(script), "half", "--jobs", "2", "--seconds", "20"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=900, check=True)
    survivors = done.stdout.split("SURVIVED ")[1:]
    assert any("half.py:24" in each and "return x - 1" in each for each in survivors), done.stdout
    assert not any("_helper.py" in each for each in survivors), done.stdout
    counts = dict(reversed(part.split(" ", 1)) for part in done.stdout.splitlines()[-1].split(", "))
    assert int(counts["caught"]) > 5
    assert int(counts["timed out"]) >= 1
    assert (tree / "methods/toy/half.py").read_text() == METHOD
