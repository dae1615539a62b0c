"""Full scale: the log of Criteo's display advertising challenge (2014), from a file that the user has."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import MissingAsset
from suites.ctr_prediction.log import Log

VARIABLE = "EFFBENCH_CRITEO"
NUMBERS, CATEGORIES = 13, 26
FEWEST = 10
"""Times that training rows must show a value, for it to have an id."""

_NAMES = ["click", *(f"I{each + 1}" for each in range(NUMBERS)), *(f"C{each + 1}" for each in range(CATEGORIES))]
_BLOCK = 1 << 26
_MOST = 40
"""Classes of a number: squared logarithms of counts end there."""


def file() -> Path | None:
    """What the variable names."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser().absolute() if named else None


def missing() -> str | None:
    """What is not there, with what to do about it."""
    found = file()
    if found is not None and found.is_file():
        return None
    said = "is not set" if found is None else f"names {found}, which is no file"
    return (
        f"{VARIABLE} {said}: get train.txt of the Criteo display advertising challenge (11 GB, tabs, a click and "
        f"{NUMBERS} + {CATEGORIES} columns, from Criteo AI Lab under its terms), and set {VARIABLE}=/path/to/train.txt"
    )


def log() -> Log:
    """All rows, in their order, which is that of time. Numbers become classes, floor(ln(x)^2) above 2 as in the
    challenge's winning entry. It says nothing of users: groups are runs of a thousand rows. Raises MissingAsset for a
    file that is another."""
    if problem := missing():
        raise MissingAsset(problem)
    alphabets: list[dict[Any, int]] = [{} for _ in range(CATEGORIES)]
    parts = [_encoded(batch, alphabets) for batch in _batches()]
    clicks = np.concatenate([click for click, _ in parts]).astype(np.float32)
    ids = np.concatenate([part for _, part in parts])
    count = len(clicks)
    return Log(
        {name: ids[:, place : place + 1] for place, name in enumerate(_NAMES[1:])},
        clicks,
        (np.arange(count) // 1_000).astype(np.int32),
        np.arange(count),
    )


def _batches() -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv

    types = {name: pa.int32() for name in _NAMES[: NUMBERS + 1]} | {name: pa.string() for name in _NAMES[NUMBERS + 1 :]}
    try:
        yield from csv.open_csv(
            file(),
            csv.ReadOptions(column_names=_NAMES, block_size=_BLOCK),
            csv.ParseOptions(delimiter="\t"),
            csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
        )
    except pa.ArrowInvalid as error:
        raise MissingAsset(f"{file()} is no such log, of {len(_NAMES)} columns and tabs: {error}") from error


def _encoded(batch: Any, alphabets: list[dict[Any, int]]) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Clicks, and (n, columns) values; 0 where nothing stands. alphabets grow by what is new."""
    columns = []
    for name in _NAMES[1 : NUMBERS + 1]:
        found = batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
        columns.append(classes(found))
    for name, alphabet in zip(_NAMES[NUMBERS + 1 :], alphabets, strict=True):
        coded = batch.column(name).dictionary_encode()
        ids = [alphabet.setdefault(each, len(alphabet) + 1) for each in coded.dictionary.to_pylist()]
        places = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        columns.append(np.array([*ids, 0], dtype=np.int32)[places])
    return batch.column("click").to_numpy().astype(np.int8), np.stack(columns, 1).astype(np.int32)


def classes(numbers: NDArray[np.float64]) -> NDArray[np.int32]:
    """(n,): 0 for none, else 1 and more: three for what is below 1, is 1, is 2; then by the squared logarithm."""
    large = np.floor(np.square(np.log(np.clip(numbers, 3, None))))
    small = np.clip(numbers, 0, 2) + 1
    found = np.where(numbers > 2, np.minimum(large, _MOST) + 3, small)
    return np.where(np.isnan(numbers), 0, found).astype(np.int32)
