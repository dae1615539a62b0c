"""The calibration and training text as token ids, for methods to draw from."""

import hashlib
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Supply
from bench.contract.cache import made_once
from suites._language import text

PIECE = 1024
"""Tokens that one document gives before the next has its turn."""


class Tokens(Supply):
    """Tokens of a split in a row. Asked for by (start, end); a LongTensor's worth of ids comes back."""

    def __init__(self, ids: NDArray[np.int64], meter: str | None) -> None:
        self._ids, self.meter = ids, meter

    def __len__(self) -> int:
        return len(self._ids)

    def take(self, wanted: tuple[int, int]) -> NDArray[np.int64]:
        start, end = wanted
        if not 0 <= start <= end <= len(self):
            raise ValueError(f"tokens {start} to {end} of {len(self)}")
        return self._ids[start:end]

    def amount(self, wanted: tuple[int, int]) -> int:
        return wanted[1] - wanted[0]


def token_ids(scale: str, split: text.Split, tokenizer: Any) -> NDArray[np.int64]:
    """All tokens of a split, without special tokens. Kept on disk by tokenizer, as it takes seconds.

    The documents take turns, PIECE tokens each, with a blank line between: a method that draws a few windows from
    the start then sees many documents, not the first two.
    """
    if scale == "tiny":
        return _take_turns(scale, split, tokenizer)

    def write(folder: Path) -> None:
        np.save(folder / "ids.npy", _take_turns(scale, split, tokenizer).astype(np.int32))

    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:12]
    folder = made_once("data", f"tokens-v{text.VERSION}-{split}-{digest}", write)
    found: NDArray[np.int64] = np.load(folder / "ids.npy").astype(np.int64)
    return found


def _take_turns(scale: str, split: text.Split, tokenizer: Any) -> NDArray[np.int64]:
    texts = [document.text for document in text.documents(scale, split)]
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    blank_line = tokenizer("\n\n", add_special_tokens=False)["input_ids"]
    pieces = [[ids[start : start + PIECE] for start in range(0, len(ids), PIECE)] for ids in encoded]
    rounds = zip_longest(*pieces, fillvalue=None)
    ids = [token for turn in rounds for piece in turn if piece is not None for token in (*piece, *blank_line)]
    return np.array(ids, dtype=np.int64)
