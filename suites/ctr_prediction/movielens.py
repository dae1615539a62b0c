"""MovieLens-100k (Harper and Konstan, 2015), with all fields of users and films, from a package."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract import MissingAsset
from suites._vision import packages
from suites.ctr_prediction.log import Log

PACKAGE = ("recbole", "recbole==1.2.1")
CLICK = 4.0
"""The least rating that is a click."""

WORDS, GENRES = 8, 6
"""Slots: longer titles are cut."""

_USER = ("user_id", "age", "gender", "occupation", "zip_code")
_ITEM = ("item_id", "release_year")


def missing() -> str | None:
    """What is not installed, with the line that mends it."""
    return packages.missing([PACKAGE])


def log() -> Log:
    """100,000 ratings. Raises MissingAsset."""
    folder = packages.folder_of(*PACKAGE) / "dataset_example" / "ml-100k"
    ratings, users, items = (_table(folder / f"ml-100k.{kind}") for kind in ("inter", "user", "item"))
    of_user = _places([row[0] for row in ratings[1:]], [row[0] for row in users[1:]])
    of_item = _places([row[1] for row in ratings[1:]], [row[0] for row in items[1:]])
    values = {name: _numbers([[each] for each in _column(users, name)], 1)[of_user] for name in _USER}
    values |= {name: _numbers([[each] for each in _column(items, name)], 1)[of_item] for name in _ITEM}
    values["genres"] = _numbers([each.split() for each in _column(items, "class")], GENRES)[of_item]
    values["title"] = _numbers([each.lower().split() for each in _column(items, "movie_title")], WORDS)[of_item]
    rest = np.array([[float(each) for each in row[2:]] for row in ratings[1:]])
    return Log(
        values,
        (rest[:, 0] >= CLICK).astype(np.float32),
        values["user_id"][:, 0].astype(np.int32),
        rest[:, 1].astype(np.int64),
    )


def _table(file: Path) -> list[list[str]]:
    """The first row has the names, without their types. Raises MissingAsset."""
    if not file.is_file():
        raise MissingAsset(f"{PACKAGE[0]} is installed without {file.name}; {packages.install([PACKAGE[1]])}")
    with file.open(newline="", encoding="utf-8") as opened:
        head, *rows = csv.reader(opened, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [[name.partition(":")[0] for name in head], *rows]


def _column(table: Sequence[Sequence[str]], name: str) -> list[str]:
    place = table[0].index(name)
    return [row[place] for row in table[1:]]


def _places(wanted: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[each] for each in wanted])


def _numbers(rows: Iterable[Sequence[str]], slots: int) -> NDArray[np.int64]:
    """(n, slots): of each word its place in the alphabet, from 1."""
    cut = [[*row[:slots], *[""] * (slots - len(row))] for row in rows]
    words = np.array(cut)
    alphabet = np.unique(words)
    found = np.searchsorted(alphabet, words) + (0 if alphabet[0] == "" else 1)
    return found.astype(np.int64)
