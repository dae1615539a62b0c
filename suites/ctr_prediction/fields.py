"""What a row is made of: fields, and ids of what stands in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Field:
    """One field of a row. size: ids are 0 to size - 1; 0 is what training rows have not shown, or nothing. slots: ids
    of a row; where there are several (genres, words) the field is a bag, filled up with 0, and its vectors are
    averaged."""

    name: str
    size: int
    slots: int = 1


@dataclass(frozen=True)
class Rows:
    """Rows of a log. ids: (n, slots of all fields together) int32. clicks: (n,) float32, 0 or 1. groups: (n,) int32,
    whose row it is: a user's."""

    ids: NDArray[np.int32]
    clicks: NDArray[np.float32]
    groups: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.clicks)

    def part(self, numbers: Sequence[int] | NDArray[np.int64] | slice) -> "Rows":
        return Rows(self.ids[numbers], self.clicks[numbers], self.groups[numbers])


def places(fields: Sequence[Field]) -> list[slice]:
    """Where each field stands among the ids of a row."""
    ends = np.cumsum([each.slots for each in fields]).tolist()
    return [slice(end - each.slots, end) for each, end in zip(fields, ends, strict=True)]


def wrong_ids(ids: NDArray[np.integer], fields: Sequence[Field]) -> str | None:
    """What is wrong with ids (n, slots) as input of a model, or None."""
    slots = sum(each.slots for each in fields)
    if ids.ndim != 2 or ids.shape[1] != slots or not len(ids):
        return f"rows are integers (n, {slots}), one id a slot of {len(fields)} fields; these are {tuple(ids.shape)}"
    if ids.dtype.kind != "i":
        return f"ids are integers; these are {ids.dtype}"
    for field, place in zip(fields, places(fields), strict=True):
        found = ids[:, place]
        out = (found < 0) | (found >= field.size)
        if out.any():
            row = int(out.any(1).argmax())
            return (
                f"{field.name} has ids 0 to {field.size - 1}, and row {row} has {int(found[out][0])}: what training "
                "rows have not shown is 0"
            )
    return None
