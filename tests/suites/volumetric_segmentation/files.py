"""NIfTI files, written by hand."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CODES = {"u1": 2, "i2": 4, "f4": 16, "u2": 512}


def nifti_bytes(values: NDArray[Any], order: str = "<", slope: float = 0.0, shift: float = 0.0) -> bytes:
    """A single-file volume of these voxels, in their own type."""
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    sizes = [*values.shape, *[1] * (7 - values.ndim)]
    struct.pack_into(f"{order}8h", header, 40, values.ndim, *sizes)
    struct.pack_into(f"{order}h", header, 70, CODES[values.dtype.str[1:]])
    struct.pack_into(f"{order}3f", header, 108, 352.0, slope, shift)
    header[344:348] = b"n+1\0"
    return bytes(header) + values.astype(values.dtype.newbyteorder(order)).tobytes(order="F")


def write_nifti(file: Path, values: NDArray[Any], **options: Any) -> None:
    raw = nifti_bytes(values, **options)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(raw) if file.suffix == ".gz" else raw)


def write_case(folder: Path, labels: NDArray[np.uint8], years: int = 2021) -> None:
    """A case of BraTS as of that year: four sequences, of which number n is 100 n + 10 in the middle, and labels."""
    names = {
        2021: ("_t1.nii.gz", "_t1ce.nii.gz", "_t2.nii.gz", "_flair.nii.gz", "_seg.nii.gz"),
        2023: ("-t1n.nii", "-t1c.nii", "-t2w.nii", "-t2f.nii", "-seg.nii"),
    }[years]
    inside = np.zeros(labels.shape, dtype=bool)
    inside[2:-2, 2:-2, 2:-2] = True
    ramp = np.arange(labels.size, dtype=np.int16).reshape(labels.shape) % 50
    for number, name in enumerate(names[:4]):
        picture = np.where(inside, 100 * number + 10 + ramp, 0).astype(np.int16)
        write_nifti(folder / f"{folder.name}{name}", picture)
    write_nifti(folder / f"{folder.name}{names[4]}", labels)
