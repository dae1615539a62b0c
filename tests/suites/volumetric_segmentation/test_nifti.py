"""Volumes are read as they were written, and what is none is named."""

from pathlib import Path

import numpy as np
import pytest

from suites.volumetric_segmentation.nifti import read_nifti
from tests.suites.volumetric_segmentation.files import nifti_bytes, write_nifti

VALUES = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) - 5


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i2", "f4", "u2"])
def test_voxels_come_back_by_their_places(tmp_path: Path, name: str, order: str, kind: str) -> None:
    values = np.abs(VALUES).astype(kind)
    write_nifti(tmp_path / name, values, order=order)
    assert np.array_equal(read_nifti(tmp_path / name), values)


def test_a_scale_is_applied_and_a_last_dimension_of_one_dropped(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", VALUES[..., None], slope=0.5, shift=3.0)
    assert np.allclose(read_nifti(tmp_path / "a.nii"), 0.5 * VALUES + 3)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"no volume", "no single-file NIfTI-1 volume"),
        (nifti_bytes(VALUES)[:-1], "ends before its last voxel"),
        (nifti_bytes(np.stack([VALUES, VALUES], -1)), "holds no single volume"),
        (nifti_bytes(VALUES[0]), "holds no single volume"),
        (nifti_bytes(VALUES).replace(b"\x04\x00", b"\x20\x00"), "of a type that is not read"),
    ],
    ids=["no-header", "short", "several", "flat", "type"],
)
def test_what_is_no_volume_is_said(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "a.nii").write_bytes(raw)
    with pytest.raises(ValueError, match=f"a.nii.*{said}"):
        read_nifti(tmp_path / "a.nii")


def test_a_broken_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(nifti_bytes(VALUES))
    with pytest.raises(ValueError, match="can't be unpacked"):
        read_nifti(tmp_path / "a.nii.gz")
