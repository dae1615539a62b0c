"""Regions of memory that views lie in, and how many distinct bytes they make up together."""

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

MOST_RUNS = 2**20
"""A view that lies in more pieces than this is not counted."""

Region = tuple[int, int, tuple[tuple[int, int], ...]]
"""Where a view lies: address, bytes of one run, and (count, stride in bytes) of each way in which runs are repeated."""


def storage_address(tensor: Tensor) -> int:
    """Address of the memory that a view lies in; 0 for none."""
    return tensor.untyped_storage().data_ptr()


def region(tensor: Tensor) -> Region:
    """Where a view lies. Dimensions that follow each other without a gap are one run, whatever their order."""
    width = tensor.element_size()
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    dims = sorted(((count, stride * width) for count, stride in pairs if count != 1 and stride), key=lambda dim: dim[1])
    run = width if tensor.numel() else 0
    while dims and dims[0][1] == run:
        run *= dims.pop(0)[0]
    return tensor.data_ptr(), run, tuple(dims)


def fills_storage(tensor: Tensor) -> bool:
    """Whether a view reaches every byte of its storage."""
    _, run, dims = region(tensor)
    return not dims and run == tensor.untyped_storage().nbytes()


def rows(table: Tensor, indices: Tensor) -> set[Region]:
    """The distinct rows of a table (rows, ...) that are looked up."""
    distinct = np.unique(indices.cpu().numpy()) % len(table)
    address, run, dims = region(table[:1])
    step = table.stride(0) * table.element_size()
    return {(address + int(row) * step, run, dims) for row in distinct}


def distinct_bytes(regions: set[Region]) -> int:
    """Bytes in the union of regions."""
    kept = [one for one in regions if math.prod(count for count, _ in one[2]) <= MOST_RUNS]
    if not kept:
        return 0
    starts = [_starts(one) for one in kept]
    ends = [start + run for start, (_, run, _) in zip(starts, kept, strict=True)]
    start, end = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    seen = np.maximum.accumulate(end)
    before = np.concatenate([start[:1], seen[:-1]])  # up to where all earlier ones reach
    return int(np.maximum(0, end - np.maximum(start, before)).sum())


def _starts(one: Region) -> NDArray[np.int64]:
    """Addresses of a region's runs."""
    address, _, dims = one
    starts = np.array([address], dtype=np.int64)
    for count, stride in dims:
        starts = (starts[:, None] + stride * np.arange(count, dtype=np.int64)).ravel()
    return starts
