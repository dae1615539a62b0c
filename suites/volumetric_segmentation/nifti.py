"""Reads volumes of the NIfTI-1 format, https://nifti.nimh.nih.gov/nifti-1: a header of 348 bytes, then the voxels."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = 348
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
"""The header's code of a voxel -> NumPy's, without its byte order."""


def read_nifti(file: Path) -> NDArray[Any]:
    """The voxels (x, y, z) of a .nii or .nii.gz file, scaled as its header says. Raises ValueError for what is no
    volume in that format, or not all of one."""
    try:
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file} can't be unpacked: {error}") from error
    if len(raw) < _HEADER or raw[344:347] != b"n+1":
        raise ValueError(f"{file} is no single-file NIfTI-1 volume")
    order = "<" if struct.unpack_from("<i", raw)[0] == _HEADER else ">"
    dimensions, *sizes = struct.unpack_from(f"{order}8h", raw, 40)
    shape, rest = sizes[:3], sizes[3:dimensions]
    if not 3 <= dimensions <= 7 or min(shape) < 1 or any(size > 1 for size in rest):
        raise ValueError(f"{file} holds no single volume: its dimensions are {sizes[: max(0, dimensions)]}")
    code = struct.unpack_from(f"{order}h", raw, 70)[0]
    if code not in _TYPES:
        raise ValueError(f"{file} has voxels of a type that is not read, NIfTI's number {code}")
    start, slope, shift = struct.unpack_from(f"{order}3f", raw, 108)
    kind = np.dtype(order + _TYPES[code])
    count = int(np.prod(shape))
    if len(raw) < int(start) + count * kind.itemsize:
        raise ValueError(f"{file} ends before its last voxel")
    found = np.frombuffer(raw, kind, count, int(start)).reshape(shape, order="F")
    return found * slope + shift if slope not in (0.0, 1.0) or shift else found
