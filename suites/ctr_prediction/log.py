"""A log as it is read, and how it is split and encoded: ids are of what training rows show, and of nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from suites.ctr_prediction.fields import Field, Rows

Split = Literal["random", "time"]
Part = Literal["training", "validation", "exam"]

SEED = 2020
"""Of the random split."""


@dataclass(frozen=True)
class Log:
    """values: field -> (n, slots), a number for each thing that stands there, 0 for nothing. clicks: (n,). groups:
    (n,), whose row it is. when: (n,), anything that rises with time."""

    values: Mapping[str, NDArray[np.int64]]
    clicks: NDArray[np.float32]
    groups: NDArray[np.int32]
    when: NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """A log under ids. parts: its rows, by part, in the order of time."""

    fields: tuple[Field, ...]
    parts: Mapping[Part, Rows]


def split_rows(when: NDArray[np.int64], split: Split, held: float, asked: float) -> dict[Part, NDArray[np.int64]]:
    """Numbers of rows by part, each in the order of time. held, asked: shares of the validation rows and of the exam.
    By time, the exam is what comes last, and the validation rows are what comes before it."""
    order = np.argsort(when, kind="stable")
    count = len(order)
    first, last = count - round((held + asked) * count), count - round(asked * count)
    if split == "random":
        place = np.random.default_rng(SEED).permutation(count)
        order = order[place]
    parts: dict[Part, NDArray[np.int64]] = {
        "training": order[:first], "validation": order[first:last], "exam": order[last:]
    }  # fmt: skip
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(when, kind="stable")] = np.arange(count)
    return {name: numbers[np.argsort(rank[numbers])] for name, numbers in parts.items()}


def encode(log: Log, split: Split, *, held: float, asked: float, fewest: int, first_is_new: bool) -> Encoded:
    """fewest: what training rows show less often has the id 0. first_is_new: what a training row shows for the first
    time has the id 0 there as well, as it had when the row came; so models learn what to say of the new."""
    numbers = split_rows(log.when, split, held, asked)
    fields, columns = [], []
    for name, values in log.values.items():
        slots = values.shape[1]
        seen = values[numbers["training"]]
        ids = _ids(seen, int(values.max()) + 1, fewest)
        field = Field(name, int(ids.max()) + 1, slots)
        column = ids[values]
        if first_is_new and slots == 1:
            _, first = np.unique(seen[:, 0], return_index=True)
            column[numbers["training"][first]] = 0
        fields.append(field)
        columns.append(column)
    whole = Rows(np.concatenate(columns, 1), log.clicks, log.groups)
    return Encoded(tuple(fields), {name: whole.part(each) for name, each in numbers.items()})


def _ids(seen: NDArray[np.int64], size: int, fewest: int) -> NDArray[np.int32]:
    """(size,): the id of each value, of those that are seen often enough; 0, which is nothing, stays 0."""
    often = np.bincount(seen.ravel(), minlength=size) >= fewest
    often[0] = False
    ids = np.zeros(size, dtype=np.int32)
    ids[often] = np.arange(1, often.sum() + 1)
    return ids
