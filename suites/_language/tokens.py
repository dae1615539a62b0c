"""The calibration and training text as token ids."""

import hashlib
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from suites._cache import made_once
from suites._language import text

PIECE = 1024
"""Tokens that one document gives before the next has its turn."""


def token_ids(scale: str, split: text.Split, tokenizer: Any) -> list[int]:
    """All tokens of a split, without special tokens. Kept on disk by tokenizer, as it takes seconds.

    The documents take turns, PIECE tokens each, with a blank line between: a method that draws a few windows from
    the start then sees many documents, not the first two.
    """
    if scale == "tiny":
        return _take_turns(scale, split, tokenizer)

    def write(folder: Path) -> None:
        np.save(folder / "ids.npy", np.array(_take_turns(scale, split, tokenizer), dtype=np.int32))

    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:12]
    folder = made_once(f"tokens-v{text.VERSION}-{split}-{digest}", write)
    return np.load(folder / "ids.npy").tolist()


def _take_turns(scale: str, split: text.Split, tokenizer: Any) -> list[int]:
    texts = [document.text for document in text.documents(scale, split)]
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    blank_line = tokenizer("\n\n", add_special_tokens=False)["input_ids"]
    pieces = [[ids[start : start + PIECE] for start in range(0, len(ids), PIECE)] for ids in encoded]
    rounds = zip_longest(*pieces, fillvalue=None)
    return [token for turn in rounds for piece in turn if piece is not None for token in (*piece, *blank_line)]
