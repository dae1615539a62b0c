"""The logs of the scales, under one name each, split and encoded."""

from dataclasses import dataclass
from functools import cache

from bench.contract import only_the_judge
from suites.ctr_prediction import criteo, movielens, toy
from suites.ctr_prediction.fields import Field, Rows
from suites.ctr_prediction.log import Encoded, Part, Split, encode

VERSION = 1
"""Raised when ids or parts are others."""


@dataclass(frozen=True)
class Shares:
    """held, asked: of the rows, validation and exam. fewest, first_is_new: see `encode`."""

    held: float
    asked: float
    fewest: int
    first_is_new: bool


LOGS = {
    "toy": Shares(0.1, 0.25, 1, True),
    "ml-100k": Shares(0.08, 0.2, 2, True),
    "criteo": Shares(0.01, 0.1, criteo.FEWEST, False),
}


def missing(name: str) -> str | None:
    """What is not there to read the log, with what to do about it, or None. Downloads nothing."""
    if name not in LOGS:
        return f"there is no log {name!r}, only {', '.join(LOGS)}"
    return {"toy": lambda: None, "ml-100k": movielens.missing, "criteo": criteo.missing}[name]()


def source(name: str) -> str:
    """What the log comes from, as far as it can be told without reading it."""
    return {"toy": "made up", "ml-100k": movielens.PACKAGE[1], "criteo": str(criteo.file())}[name]


def fields(name: str, split: Split) -> tuple[Field, ...]:
    """Raises MissingAsset."""
    return _encoded(name, split).fields


def rows(name: str, split: Split, part: Part) -> Rows:
    """Raises MissingAsset."""
    return _encoded(name, split).parts[part]


def _encoded(name: str, split: Split) -> Encoded:
    only_the_judge(f"the log {name}")  # also where it has been read before
    return _read(name, split)


@cache
def _read(name: str, split: Split) -> Encoded:
    log = {"toy": toy.log, "ml-100k": movielens.log, "criteo": criteo.log}[name]()
    return encode(log, split, **vars(LOGS[name]))
