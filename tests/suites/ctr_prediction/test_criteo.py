"""Full scale: a file of the user's own, on a small one of that kind."""

from pathlib import Path

import numpy as np
import pytest

from bench.contract import MissingAsset
from suites.ctr_prediction import criteo
from suites.ctr_prediction.log import encode

ROWS = 60


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    lines = []
    for row in range(ROWS):
        numbers = ["" if row == 0 else str(each) for each in rng.integers(-1, 1000, 13)]
        lines.append("\t".join([str(row % 2), *numbers, *(f"{each:08x}" for each in rng.integers(3, size=25)), ""]))
    file = tmp_path / "train.txt"
    file.write_text("\n".join(lines) + "\n")
    monkeypatch.setenv(criteo.VARIABLE, str(file))
    monkeypatch.setattr(criteo, "_BLOCK", 4_000)  # more than one piece
    return file


def test_a_file_of_that_kind_is_read(small: Path) -> None:
    assert criteo.missing() is None
    log = criteo.log()
    assert len(log.values) == 39
    assert log.clicks.tolist() == [row % 2 for row in range(ROWS)]
    assert log.values["I1"][0] == 0  # nothing stands there
    assert not log.values["C26"].any()
    words = [line.split("\t")[14] for line in small.read_text().splitlines()]
    codes = log.values["C1"][:, 0].tolist()
    assert len(set(zip(words, codes, strict=True))) == len(set(words)) == len(set(codes)) == 3
    encoded = encode(log, "time", held=0.1, asked=0.2, fewest=criteo.FEWEST, first_is_new=False)
    assert {name: len(each) for name, each in encoded.parts.items()} == {"training": 42, "validation": 6, "exam": 12}


def test_numbers_become_classes_by_their_squared_logarithm() -> None:
    found = criteo.classes(np.array([np.nan, -1, 0, 1, 2, 3, 20, 400, 1e12]))
    assert found.tolist() == [0, 1, 1, 2, 3, 4, 11, 38, 43]


def test_without_the_file_it_is_said_where_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(criteo.VARIABLE, raising=False)
    assert "EFFBENCH_CRITEO is not set: get train.txt" in str(criteo.missing())
    monkeypatch.setenv(criteo.VARIABLE, str(tmp_path / "none.txt"))
    assert "which is no file" in str(criteo.missing())
    with pytest.raises(MissingAsset, match="no file"):
        criteo.log()


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("1\t2\t3\n")
    monkeypatch.setenv(criteo.VARIABLE, str(other))
    with pytest.raises(MissingAsset, match="of 40 columns"):
        criteo.log()
