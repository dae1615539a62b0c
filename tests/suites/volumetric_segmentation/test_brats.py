"""A folder of cases, as BraTS gives them out."""

from pathlib import Path

import numpy as np
import pytest

from bench.contract import MissingAsset
from suites.volumetric_segmentation import brats
from suites.volumetric_segmentation.regions import ENHANCING, NECROSIS, OEDEMA
from tests.suites.volumetric_segmentation.files import write_case, write_nifti

SHAPE = (14, 12, 10)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(brats.FOLDER, str(tmp_path))
    monkeypatch.setattr(brats, "SIZE", 8)
    return tmp_path


def labels(enhancing: int = 4) -> np.ndarray:
    found = np.zeros(SHAPE, dtype=np.uint8)
    found[5:9, 5:8, 3:7] = 2
    found[6:8, 5:8, 4:6] = enhancing
    found[6, 6, 4] = 1
    return found


@pytest.mark.parametrize(("years", "enhancing"), [(2021, 4), (2023, 3)])
def test_a_case_is_cut_around_the_middle_of_its_brain(folder: Path, years: int, enhancing: int) -> None:
    write_case(folder / "case", labels(enhancing), years)
    pictures, parts = brats.read_case(folder / "case")
    assert pictures.shape == (4, 8, 8, 8)
    assert pictures.dtype == parts.dtype == np.uint8
    # The brain is 2..12, 2..10, 2..8: its middle 7, 6, 5 stands at 4.
    assert parts[6 - 3, 6 - 2, 4 - 1] == NECROSIS
    assert parts[7 - 3, 6 - 2, 4 - 1] == ENHANCING
    assert parts[5 - 3, 6 - 2, 4 - 1] == OEDEMA
    assert [int((parts == each).sum()) for each in (NECROSIS, OEDEMA, ENHANCING)] == [1, 48 - 12, 11]
    assert (pictures[:, :, :, 0] == 0).all()  # outside of the brain
    assert (pictures[:, 4, 4, 1:7] > 0).all()
    assert pictures.max((1, 2, 3)).tolist() == [255] * 4  # each sequence by itself


def test_cases_are_split_once_for_all_wherever_they_lie(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        write_case(folder / f"case{number}", labels())
    train, test = (brats.cases(split) for split in ("train", "test"))
    assert len(train) == 8
    assert len(test) == 2
    assert not set(train) & set(test)
    (folder / "not a case").mkdir()
    assert brats.cases("train") == train
    folder.rename(folder.parent / "elsewhere")
    monkeypatch.setenv(brats.FOLDER, str(folder.parent / "elsewhere"))
    assert [case.name for case in brats.cases("train")] == [case.name for case in train]


def test_what_is_missing_is_said_with_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{folder} has no case with t1, t1ce, t2, flair and seg" in str(brats.missing())
    write_case(folder / "case", labels())
    assert brats.missing() is None
    monkeypatch.setenv(brats.FOLDER, str(folder / "nowhere"))
    assert "which is no folder" in str(brats.missing())
    monkeypatch.delenv(brats.FOLDER)
    with pytest.raises(MissingAsset, match=r"https://www\.synapse\.org/brats"):
        brats.cases("train")


def test_a_case_that_is_not_whole_is_named(folder: Path) -> None:
    write_case(folder / "unknown", labels(enhancing=7))
    with pytest.raises(ValueError, match=r"unknown.*labels \[7\]"):
        brats.read_case(folder / "unknown")
    write_case(folder / "uneven", labels())
    write_nifti(folder / "uneven" / "uneven_t2.nii.gz", np.ones((3, 3, 3), dtype=np.int16))
    with pytest.raises(ValueError, match="of different sizes"):
        brats.read_case(folder / "uneven")
    (folder / "uneven" / "uneven_flair.nii.gz").unlink()
    with pytest.raises(ValueError, match="has no flair"):
        brats.read_case(folder / "uneven")
