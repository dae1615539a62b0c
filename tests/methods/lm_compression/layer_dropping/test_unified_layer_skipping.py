"""Which blocks stay."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.lm_compression.layer_dropping._sublayers import drop, whole_block
from methods.lm_compression.layer_dropping.unified_layer_skipping import UnifiedLayerSkipping, kept_blocks
from tests.methods.lm_compression.compression_toys import limited

from .conftest import random_model

counts = st.integers(2, 80).flatmap(lambda count: st.tuples(st.just(count), st.integers(2, count)))


@given(counts, st.sampled_from(["stride", "even"]))
def test_first_and_last_stay_and_the_count_is_exact(count_and_kept, spacing):
    count, kept = count_and_kept
    stay = kept_blocks(count, kept, spacing)
    assert {0, count - 1} <= stay <= set(range(count))
    assert len(stay) == kept


@given(counts)
def test_even_gaps_differ_by_one_at_most(count_and_kept):
    stay = sorted(kept_blocks(*count_and_kept, "even"))
    gaps = {b - a for a, b in pairwise(stay)}
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(
    ("count", "kept", "expected"),
    [
        (32, 16, {*range(0, 30, 2), 31}),  # floor(32 / 15) = 2
        (30, 10, {*range(0, 27, 3), 29}),  # floor(30 / 9) = 3
        (8, 2, {0, 7}),
        (8, 8, set(range(8))),
        (8, 6, {0, 1, 2, 3, 4, 7}),  # the stride is 1: one contiguous gap
    ],
)
def test_the_published_rule(count, kept, expected):
    assert kept_blocks(count, kept, "stride") == expected


@pytest.mark.parametrize("kept", [1, 9])
def test_impossible_counts_are_errors(kept):
    with pytest.raises(ValueError, match="can be kept"):
        kept_blocks(8, kept, "stride")


@pytest.mark.parametrize("spacing", ["stride", "even"])
def test_the_largest_count_within_the_limit_is_kept(spacing, make_task):
    task = make_task(random_model(blocks=7), flops_ratio=0.62)
    layers = UnifiedLayerSkipping(spacing=spacing).build(task).model.layers
    kept = len(layers)
    assert 2 < kept < 7
    dense = [task.model.model.layers[index] for index in sorted(kept_blocks(7, kept, spacing))]
    assert all(torch.equal(a.mlp.up_proj.weight, b.mlp.up_proj.weight) for a, b in zip(layers, dense, strict=True))
    one_more = [s for i in range(7 - kept - 1) for s in whole_block(i)]
    assert not task.limits.met_by(task.weigh(drop(task.model, one_more)))


def test_two_blocks_that_are_too_many_are_a_reason(make_task):
    task = make_task()
    two_of_four = task.weigh(drop(task.model, [*whole_block(1), *whole_block(2)]))["flops_ratio"]
    method = UnifiedLayerSkipping()
    assert method.supports(limited(task, flops_ratio=two_of_four)) is None
    assert len(method.build(limited(task, flops_ratio=two_of_four)).model.layers) == 2
    assert "flops_ratio" in method.supports(limited(task, flops_ratio=two_of_four - 0.01))
    assert "first and the last" in method.supports(make_task(random_model(blocks=1), flops_ratio=0.9))
