"""The examples as methods get them: by number, under a meter of tokens."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Supply
from suites.lm_finetuning.batches import Row

Plain = tuple[list[int], int, str]
"""A Row."""


class Examples(Supply):
    """Examples as token ids. Asked for by their numbers; each costs its tokens."""

    def __init__(self, rows: Sequence[Row], meter: str | None) -> None:
        self._rows, self.meter = rows, meter

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, wanted: Sequence[int]) -> list[Plain]:
        return [(list(row.ids), row.prompt, row.task) for row in self._chosen(wanted)]

    def amount(self, wanted: Sequence[int]) -> int:
        return sum(len(row.ids) for row in self._chosen(wanted))

    def _chosen(self, wanted: Sequence[int]) -> list[Row]:
        if out := [number for number in wanted if not 0 <= number < len(self)]:
            raise ValueError(f"example {out[0]} of {len(self)}")
        return [self._rows[number] for number in wanted]


class Listing(Supply):
    """What there is to know of the examples of another supply without reading them: (task of each, tokens of each)."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, wanted: Any = None) -> tuple[list[str], NDArray[np.int64]]:
        return [row.task for row in self._rows], np.array([len(row.ids) for row in self._rows])


class Texts(Supply):
    """Plain texts, or records of text, by number. Nothing is counted."""

    def __init__(self, texts: Sequence[Any]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def take(self, wanted: Sequence[int]) -> list[Any]:
        return [self._texts[number] for number in wanted]


class OwnExamples(Supply):
    """Examples that a method makes itself. Nothing is given for them; their tokens count as those of others do."""

    def __init__(self, meter: str) -> None:
        self.meter = meter

    def __len__(self) -> int:
        return 0

    def take(self, wanted: int) -> None:
        return None

    def amount(self, wanted: int) -> int:
        if wanted < 0:
            raise ValueError(f"{wanted} tokens")
        return wanted
