"""What the content of a class holds, and what it passes over: places, names of files, imports, words."""

from pathlib import Path

import pytest

from bench.registry.content import Content, Contents
from bench.registry.definitions import read_module
from bench.registry.tree import WorkTree

FILES = {
    "suites/toy/task.py": '''
        """A task."""
        RATE = 0.1
        UNUSED = 1

        class Task:
            """What a method sees."""
            rate: float = RATE
    ''',
    "methods/_shared.py": '''
        """Two helpers and their constants."""
        import math
        from suites.toy import task as tasks

        SIDE = 2.0
        LENGTH = 3.0

        def area(x: "float") -> float:
            """Of a square."""
            return math.sqrt(x) * SIDE  # exact

        def line():
            return LENGTH * tasks.RATE

        def is_even(n):
            return n == 0 or is_odd(n - 1)

        def is_odd(n):
            return n != 0 and is_even(n - 1)
    ''',
    "methods/square.py": '''
        """A method."""
        from dataclasses import dataclass
        from typing import TYPE_CHECKING, Any, ClassVar
        from methods._shared import area as area_of, is_even
        if TYPE_CHECKING:
            from suites.toy.task import Task

        @dataclass(frozen=True)
        class Square:
            """A square."""
            card = Card(slug="square", claims=(Claim("small"),))
            variants: ClassVar[dict[str, Any]] = {"default": {}, "large": {"side": 9}}
            at_point = {"narrow": {"side": 0.5}}
            side: float = 1.0
            """In metres."""

            def build(self, task: "Task") -> float:
                """An area."""
                return area_of(self.side) if is_even(2) else 0
    ''',
    "methods/row.py": """
        import methods._shared

        class Row:
            def build(self):
                from ._shared import line
                return line() + methods._shared.LENGTH
    """,
}


def written(root: Path, changes: dict[str, tuple[str, str]] | None = None, files: dict[str, str] = FILES) -> Contents:
    """A tree with these files. changes: by file, (old, new) text."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = "".join(f"{line.removeprefix(' ' * 8)}\n" for line in text.strip("\n").splitlines())
        old, new = (changes or {}).get(name, ("", ""))
        assert old in plain
        path.write_text(plain.replace(old, new) if old else plain)
    for package in {path.parent for path in root.rglob("*.py")}:
        for folder in [package, *package.parents]:
            if folder == root:
                break
            (folder / "__init__.py").touch()
    return Contents(WorkTree(root))


SQUARE, ROW = ("methods.square", "Square"), ("methods.row", "Row")


def both(contents: Contents) -> tuple[str, str]:
    return contents.of(SQUARE).hash, contents.of(ROW).hash


@pytest.fixture
def before(tmp_path: Path) -> tuple[str, str]:
    return both(written(tmp_path / "before"))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("methods/square.py", '"""A method."""', '"""Of squares, in other words."""'),
        ("methods/square.py", 'Claim("small"),', 'Claim("large"), Claim("round")'),
        ("methods/square.py", '"large": {"side": 9}', '"small": {"side": 0.1}'),  # a record holds what its variant set
        ("methods/square.py", 'at_point = {"narrow": {"side": 0.5}}', "at_point = {}"),
        ("methods/square.py", "self.side)", "(self.side))"),
        ("methods/square.py", "area as area_of, is_even", "is_even, area as area_of"),
        ("methods/square.py", "side: float", "side: 'complex'"),
        ("methods/_shared.py", "  # exact", ""),
        ("methods/_shared.py", '    """Of a square."""\n', ""),
        ("methods/_shared.py", "import math\n", "import math\nimport json\n"),
        ("suites/toy/task.py", "UNUSED = 1", "UNUSED = 2"),
    ],
)
def test_words_layout_and_imports_do_not_count(
    tmp_path: Path, before: tuple[str, str], file: str, old: str, new: str
) -> None:
    assert both(written(tmp_path / "after", {file: (old, new)})) == before


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("methods/_shared.py", "SIDE = 2.0", "SIDE = 2.5", (True, False)),
        ("methods/_shared.py", "LENGTH = 3.0", "LENGTH = 3", (False, True)),
        ("methods/_shared.py", "math.sqrt", "math.exp", (True, False)),
        ("methods/_shared.py", "n != 0 and", "n > 0 and", (True, False)),  # by way of a circle
        ("suites/toy/task.py", "RATE = 0.1", "RATE = 0.2", (False, True)),
        ("methods/square.py", "else 0", "else 1", (True, False)),
        ("methods/square.py", "side: float = 1.0", "side: float = 1.5", (True, False)),
        ("methods/square.py", "side: float = 1.0", "side: ClassVar[float] = 1.0", (True, False)),
        ("methods/_shared.py", "import math\n", "import math\nprint('imported')\n", (True, True)),
    ],
)
def test_a_change_makes_stale_just_what_uses_it(
    tmp_path: Path, before: tuple[str, str], file: str, old: str, new: str, stale: tuple[bool, bool]
) -> None:
    after = both(written(tmp_path / "after", {file: (old, new)}))
    assert tuple(a != b for a, b in zip(after, before, strict=True)) == stale


def test_a_helper_that_is_moved_leaves_all_as_it_was(tmp_path: Path, before: tuple[str, str]) -> None:
    moved = {name.replace("_shared", "_techniques/shapes"): text for name, text in FILES.items()}
    moved["methods/square.py"] = moved["methods/square.py"].replace("methods._shared", "methods._techniques.shapes")
    moved["methods/row.py"] = (
        moved["methods/row.py"]
        .replace("import methods._shared", "from methods._techniques import shapes")
        .replace("from ._shared import line", "from methods._techniques.shapes import line as a_line")
        .replace("line() + methods._shared", "a_line() + shapes")
    )
    assert both(written(tmp_path / "after", files=moved)) == before


def test_a_package_that_is_renamed_leaves_all_as_it_was(tmp_path: Path, before: tuple[str, str]) -> None:
    renamed = {
        name.replace("suites/toy", "suites/_games"): text.replace("suites.toy", "suites._games")
        for name, text in FILES.items()
    }
    assert both(written(tmp_path / "after", files=renamed)) == before


def test_a_file_that_is_split_leaves_all_as_it_was(tmp_path: Path, before: tuple[str, str]) -> None:
    whole = FILES["methods/_shared.py"]
    place = whole.index("        def is_even")
    head = whole[:place].replace("        def line():\n            return LENGTH * tasks.RATE\n", "")
    head = head.replace("        LENGTH = 3.0\n", "")
    split = FILES | {
        "methods/_shared.py": head,
        "methods/_parity.py": whole[place:],
        "methods/_lines.py": """
        from suites.toy.task import RATE as rate
        LENGTH = 3.0
        def line():
            return LENGTH * rate
    """,
    }
    split["methods/square.py"] = FILES["methods/square.py"].replace(
        "from methods._shared import area as area_of, is_even",
        "from methods._shared import area as area_of\n        from methods._parity import is_even",
    )
    split["methods/row.py"] = FILES["methods/row.py"].replace("_shared", "_lines")
    assert both(written(tmp_path / "after", files=split)) == before


def test_two_helpers_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = {
        "methods/_a.py": "        def unmet():\n            return 'a'\n",
        "methods/_b.py": "        def unmet():\n            return 'b'\n",
        "methods/m.py": """
        from methods import _a, _b

        def build():
            return _a.unmet(), _b.unmet()
    """,
    }
    one = written(tmp_path / "one", files=files).of(("methods.m", "build"))
    swapped = files | {
        "methods/m.py": files["methods/m.py"].replace("_a.unmet(), _b.unmet()", "_b.unmet(), _a.unmet()")
    }
    assert written(tmp_path / "two", files=swapped).of(("methods.m", "build")).hash != one.hash


def test_what_is_local_is_no_reference(tmp_path: Path) -> None:
    files = {
        "methods/_a.py": "        text = 1\n",
        "methods/m.py": """
        from methods._a import text

        def build(text):
            return [text for part in text]
    """,
    }
    found = written(tmp_path, files=files).of(("methods.m", "build"))
    assert {str(place) for place in found.places} == {"methods/m.py"}


def test_data_beside_a_module_that_reads_it_counts(tmp_path: Path) -> None:
    files = {
        "suites/toy/files.py": """
        from pathlib import Path
        TASKS = Path(__file__).with_name("tasks")

        def tasks():
            return TASKS.glob("*.yaml")
    """,
        "suites/toy/other.py": "        def rest():\n            return 1\n",
    }
    contents = written(tmp_path, files=files)
    roots = [("suites.toy.files", "tasks"), ("suites.toy.other", "rest")]
    (tmp_path / "suites/toy/tasks").mkdir()
    seen: list[list[Content]] = []
    for text in ("a: 1", "a: 2"):
        (tmp_path / "suites/toy/tasks/one.yaml").write_text(text)
        seen.append([contents.of(root) for root in roots])
    (tmp_path / "suites/toy/README.md").write_text("words")
    seen.append([contents.of(root) for root in roots])
    assert seen[0][0] != seen[1][0]
    assert seen[1] == seen[2]
    assert seen[0][1] == seen[1][1]


def test_what_is_registered_at_import_counts_though_nobody_names_it(tmp_path: Path) -> None:
    files = {
        "methods/_kernels.py": """
        from torch.utils.flop_counter import register_flop_formula

        @register_flop_formula(["op"])
        def _flops(x):
            return 2 * x

        def kernel():
            return 1
    """,
        "methods/m.py": "        import methods._kernels\n        def build():\n            return 0\n",
    }
    one = written(tmp_path / "one", files=files).of(("methods.m", "build")).hash
    changed = {name: text.replace("2 * x", "3 * x") for name, text in files.items()}
    assert written(tmp_path / "two", files=changed).of(("methods.m", "build")).hash != one
    unused = {name: text.replace("return 1", "return 2") for name, text in files.items()}
    assert written(tmp_path / "three", files=unused).of(("methods.m", "build")).hash == one


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"""f"{x['a'] or 'none'}" """, r"""f"{x['a'] or 'none'}" """),
        (r"""f'{x["a"]:>{w}.2f}' """, r"""f"{x['a']:>{w}.2f}" """),
        (r"""f"{', '.join(f'{n!r} of it' for n in x)}" """, r"""f"{', '.join((f'{n!r} of it' for n in x))}" """),
        (r"""f"a {x + 'c'}\n{{{1 if x else w}}}" """, r"""f"a {x + 'c'}\n{{{(1 if x else w)}}}" """),
        (r"""f'of { {1: w}[1]}' """, r"""f'of { {1: w}[1]}' """),
    ],
)
def test_an_f_string_reads_the_same_on_every_python(written: str, read: str) -> None:
    text = read_module(f"def f(x, w):\n    return {written}".encode(), "m", package=False).named["f"].text
    assert text == f"def f(x, w):\n    return {read.strip()}"


def test_what_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"methods\.square\.Circle"):
        written(tmp_path).of(("methods.square", "Circle"))
