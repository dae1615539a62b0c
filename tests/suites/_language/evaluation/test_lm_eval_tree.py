"""Rows hold each sequence exactly: its tokens along its path, and a mask that shows a node its ancestors alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites._language.evaluation.tree import Group, Row, plan

SEQUENCES = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), min_size=1, max_size=20, unique=True
)
HEADER = tuple(range(100, 300))


def check(groups: list[Group], sequences: list[tuple[int, ...]]) -> None:
    seen = []
    for group in groups:
        for row in group.rows:
            mask = row.mask()
            for sequence, path in zip(row.sequences, row.paths, strict=True):
                tokens = (*group.trunk, *(row.tokens[node] for node in path))
                assert tokens == sequences[sequence]
                assert [row.depths[node] for node in path] == list(range(len(path)))
                for depth, node in enumerate(path):
                    assert set(np.flatnonzero(mask[node])) == set(path[: depth + 1].tolist())
                seen.append(sequence)
            assert row.is_chain == bool((mask == np.tri(len(row.tokens), dtype=bool)).all())
    assert sorted(seen) == list(range(len(sequences)))


@given(SEQUENCES, st.integers(1, 40), st.booleans())
def test_rows_hold_every_sequence(sequences: list[tuple[int, ...]], row_tokens: int, branches: bool) -> None:
    groups = plan(sequences, [0] * len(sequences), row_tokens, row_tokens, branches=branches)
    check(groups, sequences)
    rows = [row for group in groups for row in group.rows]
    assert all(len(row.tokens) <= row_tokens or len(row.sequences) == 1 or row.is_chain for row in rows)
    if not branches:
        assert all(row.is_chain for row in rows)


@given(SEQUENCES, st.integers(4, 40))
def test_sequences_with_a_long_beginning_in_common_share_a_trunk(tails: list[tuple[int, ...]], row_tokens: int) -> None:
    sequences = [HEADER + tail for tail in tails]
    groups = plan(sequences, [len(HEADER)] * len(sequences), row_tokens, row_tokens)
    check(groups, sequences)
    if len(sequences) > 1:
        (group,) = groups
        assert len(group.trunk) >= len(HEADER)
        assert group.tokens <= len(HEADER) + sum(map(len, tails))


def test_each_subject_gets_its_own_trunk() -> None:
    """Two subjects with an instruction in common: the longer beginnings save more."""
    subjects = [HEADER + (subject,) * 300 for subject in (1, 2)]
    sequences = [subject + (question,) * 20 for subject in subjects for question in range(10, 30)]
    groups = plan(sequences, [500] * len(sequences), 200, 200)
    check(groups, sequences)
    assert sorted(len(group.trunk) for group in groups) == [500, 500]


def test_a_trunk_ends_before_the_first_scored_position() -> None:
    sequences = [(*HEADER, i) for i in range(40)]
    groups = plan(sequences, [150] * len(sequences), 64, 64)
    check(groups, sequences)
    assert [len(group.trunk) for group in groups] == [150]


def test_choices_cost_only_their_own_tokens() -> None:
    context = tuple(range(50))
    (group,) = plan([context + (100 + choice,) * 5 for choice in range(4)], [49] * 4, 1024, 1024)
    assert group.tokens == 50 + 4 * 5


def test_strangers_stay_apart() -> None:
    """One token in common is not worth the attention of a row twice as long."""
    sequences = [(0, *range(start, start + 300)) for start in (1000, 2000)]
    (group,) = plan(sequences, [0, 0], 1024, 1024)
    assert len(group.rows) == 2


@pytest.mark.parametrize("count", [1, 300])
def test_nested_prefixes_are_one_chain(count: int) -> None:
    sequences = [tuple(range(length)) for length in range(1, count + 1)]
    (group,) = plan(sequences, [0] * count, 1024, 1024)
    assert [len(row.tokens) for row in group.rows] == [count]
    assert group.rows[0].is_chain


@given(SEQUENCES)
def test_halves_hold_the_same_sequences(sequences: list[tuple[int, ...]]) -> None:
    for group in plan(sequences, [0] * len(sequences), 1000, 1000):
        halves = [half for row in group.rows for half in row.halves()]
        check([Group((), halves)], [sequences[index] for index in range(len(sequences))])
        assert all(len(half.sequences) <= (len(row.sequences) + 1) // 2 for row in group.rows for half in row.halves())


def test_an_empty_row_has_an_empty_mask() -> None:
    assert Row().mask().shape == (0, 0)
