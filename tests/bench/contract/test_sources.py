"""What the hash of sources sees and what it passes over."""

from pathlib import Path

import pytest

from bench.contract.registry import load, suite_files
from bench.contract.sources import imported, source_hash

CODE = '''"""A module."""

class Box:
    """A box."""
    card = Card(slug="box", claims=(Claim("small"),))
    variants: ClassVar[dict] = {"default": {}, "large": {"side": 9}}
    at_point = {"narrow": {"side": 0.5}}
    side: float = 1.0
    """In metres."""

    def volume(self):
        """In cubic metres."""
        return self.side**3  # exact

variants: dict = {"small": 1}
'''


def hashed(folder: Path, text: str, name: str = "code.py") -> str:
    path = folder / name
    path.write_text(text)
    return source_hash([path])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A module.", "Of boxes."),
        ('Claim("small"),', 'Claim("large"), Claim("round")'),
        ("A box.", "Two lines.\n\n    About a box."),
        ("In metres.", "In feet."),
        ('        """In cubic metres."""\n', ""),
        ("# exact", "# to rounding"),
        ("self.side**3", "(self.side ** 3)"),
        ('"large": {"side": 9}', '"small": {"side": 0.1}'),  # a record holds what its variant set
        ('    at_point = {"narrow": {"side": 0.5}}\n', ""),
    ],
)
def test_words_and_layout_do_not_count(tmp_path: Path, old: str, new: str) -> None:
    assert old in CODE
    assert hashed(tmp_path, CODE.replace(old, new)) == hashed(tmp_path, CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("side**3", "side**2"),
        ("1.0", "1"),
        ("volume", "area"),
        ("return self.side**3", "return 'A box.'"),
        ('"small": 1', '"small": 2'),
    ],
)
def test_what_the_code_does_counts(tmp_path: Path, old: str, new: str) -> None:
    assert hashed(tmp_path, CODE.replace(old, new)) != hashed(tmp_path, CODE)


def test_names_and_every_byte_of_other_files_count(tmp_path: Path) -> None:
    assert hashed(tmp_path, CODE, "other.py") != hashed(tmp_path, CODE)
    assert hashed(tmp_path, "a: 1\n", "task.yaml") != hashed(tmp_path, "a: 1 # one\n", "task.yaml")


def test_a_module_is_made_of_all_that_it_imports_at_once_or_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "__init__": "",
        "method": "import json\nfrom made_here import _shared\n\ndef build():\n    from ._late import solve\n",
        "_shared": "import made_here._deep as deep\n",
        "_deep": "from made_here.method import build\n",  # a circle ends
        "_late": "from bench.contract import Card\nfrom made_here.data.table import ROWS\n",
        "_other": "",
        "data/__init__": "from . import axes\n",
        "data/axes": "",
        "data/table": "from ..unknown import ROWS\n",
    }.items():
        path = tmp_path / "made_here" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {path.relative_to(tmp_path / "made_here").as_posix() for path in imported(["made_here.method"])}
    assert found == {
        "__init__.py", "method.py", "_shared.py", "_deep.py", "_late.py",
        "data/table.py", "data/__init__.py", "data/axes.py",
    }  # fmt: skip


def test_a_suite_is_made_of_its_folder_and_of_what_it_takes_from_others() -> None:
    files = {path.as_posix() for path in suite_files(load().suite("lm-finetuning"))}
    for name in ("lm_finetuning/training.py", "lm_compression/evaluation/evaluator.py", "_peft.py"):
        assert any(path.endswith(f"suites/{name}") for path in files)
    assert not any(path.endswith(("operator_data/task.py", "bench/contract/task.py")) for path in files)


def test_a_method_is_made_of_what_it_takes_from_the_suites_too() -> None:
    load()
    files = {path.as_posix() for path in imported(["methods.lm_finetuning.adaptation.lora"])}
    for name in (
        "methods/lm_finetuning/_finetuning.py",
        "methods/lm_finetuning/adaptation/_rank.py",
        "suites/_language/adapters.py",
    ):
        assert any(path.endswith(name) for path in files)
    assert not any(path.endswith("methods/_techniques/orthogonality.py") for path in files)  # a neighbour's
