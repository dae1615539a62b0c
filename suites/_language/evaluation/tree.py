"""Packs token sequences that share prefixes into rows, so that every shared token is computed once.

Sequences are sorted, so that those with a common prefix stand next to each other. A row holds a token tree in
depth-first order: a sequence adds only the tokens that its neighbour does not have, and each token attends to its
ancestors. Where many rows would repeat one long beginning (the examples of a few-shot prompt), that beginning
becomes a trunk: it is computed once, and its keys and values serve all rows of the group.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Tokens = tuple[int, ...]
Indices = NDArray[np.int64]

ATTENTION_COST = 1 / 1500
"""Cost of attending to one token, in units of the cost of the linear layers for one token; as measured for a small
model on a CPU. It is less elsewhere; the plan depends on it only weakly."""

SHORTEST_TRUNK = 64
"""A shorter beginning is cheaper to compute again than to keep."""

DEEPEST_SPLIT = 40


@dataclass
class Row:
    """A token tree, depth first. Node i follows the trunk's tokens and its ancestors within the row.

    tokens: the nodes' tokens. depths: position of each node in its sequence, without the trunk.
    segments: (first node, end, ancestors): runs of nodes that follow each other, and the nodes before the run.
    paths: for each sequence of the row its node at each depth. sequences: which sequences these are.
    """

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    segments: list[tuple[int, int, Indices]] = field(default_factory=list)
    paths: list[Indices] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, sequence: int, tokens: Tokens) -> "Row":
        """A row of one sequence."""
        row = cls()
        row.add(sequence, tokens, 0)
        return row

    def halves(self) -> list["Row"]:
        """Two rows with half of the sequences each; only itself if it has but one."""
        if len(self.sequences) == 1:
            return [self]
        middle = len(self.sequences) // 2
        return [self._part(range(middle)), self._part(range(middle, len(self.sequences)))]

    def _part(self, places: range) -> "Row":
        part = Row()
        before = np.empty(0, np.int64)
        for place in places:
            path = self.paths[place]
            length = min(len(before), len(path))
            shared = int(np.cumprod(before[:length] == path[:length]).sum())
            part.add(self.sequences[place], tuple(self.tokens[node] for node in path), shared)
            before = path
        return part

    @property
    def is_chain(self) -> bool:
        """Whether the plain causal mask is the right one: every node follows all before it."""
        return all(len(ancestors) == start for start, _, ancestors in self.segments)

    def add(self, sequence: int, tokens: Tokens, shared: int) -> None:
        """Add a sequence whose first `shared` tokens are those of the sequence added last."""
        start, end = len(self.tokens), len(self.tokens) + len(tokens) - shared
        ancestors = self.paths[-1][:shared] if self.paths else np.empty(0, np.int64)
        if end > start:
            self.segments.append((start, end, ancestors))
        self.tokens += tokens[shared:]
        self.depths += range(shared, len(tokens))
        self.paths.append(np.concatenate([ancestors, np.arange(start, end)]))
        self.sequences.append(sequence)

    def mask(self) -> NDArray[np.bool_]:
        """(nodes, nodes): whether the node of the row may attend to the node of the column."""
        mask = np.eye(len(self.tokens), dtype=bool)
        for start, end, ancestors in self.segments:
            mask[start:end, ancestors] = True
            mask[start:end, start:end] = np.tri(end - start, dtype=bool)
        return mask


@dataclass
class Group:
    """Rows that share a trunk; an empty trunk leaves them independent of each other."""

    trunk: Tokens
    rows: list[Row]

    @property
    def tokens(self) -> int:
        return len(self.trunk) + sum(len(row.tokens) for row in self.rows)


def plan(
    sequences: Sequence[Tokens],
    first_scored: Sequence[int],
    row_tokens: int,
    trunk_row_tokens: int,
    *,
    branches: bool = True,
    trunks: bool = True,
) -> list[Group]:
    """Cover the sequences (all different) by rows of at most `row_tokens` tokens, on a trunk `trunk_row_tokens`, or
    one sequence if that is longer.

    first_scored: the first position of each sequence whose output is needed; a trunk never covers it.
    branches=False: only a sequence that begins with all of another shares a row with it (no custom mask is needed).
    """
    order = sorted(range(len(sequences)), key=lambda index: sequences[index])
    shared = [0, *(common_length(sequences[a], sequences[b]) for a, b in pairwise(order))]
    loose: list[int] = []
    groups = []
    for trunk, low, high in (
        _trunks(sequences, order, shared, row_tokens, trunk_row_tokens) if trunks else [(0, 0, len(order))]
    ):
        trunk = min([trunk, *(first_scored[index] for index in order[low:high])])  # noqa: PLW2901
        if trunk < SHORTEST_TRUNK:
            loose += range(low, high)
            continue
        rows = list(_rows(sequences, order, shared, range(low, high), trunk, trunk_row_tokens, branches))
        groups.append(Group(sequences[order[low]][:trunk], rows))
    if loose:
        groups.append(Group((), list(_rows(sequences, order, shared, loose, 0, row_tokens, branches))))
    return groups


def common_length(a: Tokens, b: Tokens) -> int:
    """Length of the common prefix."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    return next(index for index in range(length) if a[index] != b[index])


def _rows(
    sequences: Sequence[Tokens],
    order: Sequence[int],
    shared: Sequence[int],
    places: Sequence[int],
    trunk: int,
    row_tokens: int,
    branches: bool,
) -> Iterator[Row]:
    """Fill rows with the sequences at `places` of the order, each without its trunk, in one pass."""
    row = Row()
    before = -2
    for place in places:
        tokens = sequences[order[place]][trunk:]
        common = shared[place] - trunk if place == before + 1 and row.paths else 0
        total = len(row.tokens) + len(tokens) - common
        joins = (
            row.paths
            and total <= row_tokens
            and (common == len(row.paths[-1]) or branches)
            and (trunk > 0 or (common > 0 and _cost(total) < _cost(len(row.tokens)) + _cost(len(tokens))))
        )
        if row.paths and not joins:
            yield row
            row, common = Row(), 0
        row.add(order[place], tokens, common)
        before = place
    if row.paths:
        yield row


def _cost(tokens: int) -> float:
    return tokens + ATTENTION_COST * tokens**2


def _trunks(
    sequences: Sequence[Tokens], order: Sequence[int], shared: Sequence[int], row_tokens: int, trunk_row_tokens: int
) -> Iterator[tuple[int, int, int]]:
    """Yield (trunk length, low, high) that cover the order: the prefixes that are worth keeping."""
    low = 0
    for place in range(1, len(order) + 1):
        if place == len(order) or shared[place] < SHORTEST_TRUNK:
            yield from _best_split(sequences, order, shared, low, place, row_tokens, trunk_row_tokens)[1]
            low = place


def _best_split(
    sequences: Sequence[Tokens],
    order: Sequence[int],
    shared: Sequence[int],
    low: int,
    high: int,
    row_tokens: int,
    trunk_row_tokens: int,
    depth: int = 0,
) -> tuple[int, list[tuple[int, int, int]]]:
    """Tokens to compute, and the groups, for order[low:high]: one trunk for all, or longer ones for its parts."""
    size = _size(sequences, order, shared, low, high)
    if high - low == 1 or size <= row_tokens:
        return size, [(0, low, high)]
    trunk = min(shared[low + 1 : high])
    cuts = [low, *(p for p in range(low + 1, high) if shared[p] == trunk), high]
    cost = size
    for a, b in pairwise(cuts):  # each row of a part computes again what the part has in common beyond the trunk
        common = min(shared[a + 1 : b], default=0)
        if common > trunk:
            room = max(trunk_row_tokens - (common - trunk), 1)
            rows = -(-(_size(sequences, order, shared, a, b) - common) // room)
            cost += (min(rows, b - a) - 1) * (common - trunk)
    whole = (cost, [(trunk, low, high)])
    if cost == size or depth == DEEPEST_SPLIT:
        return whole
    parts = [
        _best_split(sequences, order, shared, a, b, row_tokens, trunk_row_tokens, depth + 1) for a, b in pairwise(cuts)
    ]
    split = (sum(tokens for tokens, _ in parts), [group for _, groups in parts for group in groups])
    return min(whole, split, key=lambda choice: choice[0])


def _size(sequences: Sequence[Tokens], order: Sequence[int], shared: Sequence[int], low: int, high: int) -> int:
    """Different tokens in order[low:high]."""
    return len(sequences[order[low]]) + sum(len(sequences[order[p]]) - shared[p] for p in range(low + 1, high))
