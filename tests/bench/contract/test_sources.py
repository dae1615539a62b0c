"""What the hash of sources sees and what it passes over."""

from pathlib import Path

import pytest

from bench.contract.sources import source_hash

CODE = '''"""A module."""

class Box:
    """A box."""
    card = Card(slug="box", claims=(Claim("small"),))
    variants: ClassVar[dict] = {"default": {}, "large": {"side": 9}}
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
