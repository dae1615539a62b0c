"""The smallest weights go, and are not stored."""

import torch

from methods._techniques.packed_sparse import SparseLinear
from methods.ctr_prediction._thin import parts
from methods.ctr_prediction.sparsity.magnitude import Magnitude, SparseTable, largest, packed, pruned
from tests.methods.ctr_prediction.conftest import Make, same, some_ids


def test_those_that_stay_are_the_largest_of_all(clicks: Make) -> None:
    model = clicks().model
    masks, weights = largest(model, 0.3), pruned(model)
    kept = torch.cat([weights[name][mask].abs() for name, mask in masks.items()])
    gone = torch.cat([weights[name][~mask].abs() for name, mask in masks.items()])
    assert kept.min() >= gone.max()
    assert len(kept) == int(0.3 * (len(kept) + len(gone)))
    assert {"first.by_field.user_id", "tables.by_field.item_id", "mlp.0", "mlp.6"} <= masks.keys()


def test_a_sparse_table_is_the_masked_one_and_stores_no_zeros() -> None:
    torch.manual_seed(0)
    weight, kept = torch.randn(70, 5), torch.rand(70, 5) < 0.2
    table = SparseTable(weight, kept)
    ids = torch.arange(70).view(10, 7)
    assert torch.equal(table(ids), (weight * kept)[ids])
    assert len(table.values) == int(kept.sum())
    assert len(table.bitmap) == -(-350 // 8)


def test_all_kept_it_is_the_base(clicks: Make) -> None:
    task = clicks()
    assert same(packed(task.model, largest(task.model, 1.0)), task.model, some_ids(task), 1e-6)


def test_what_is_built_keeps_the_mask_through_training_and_meets_the_limit(clicks: Make) -> None:
    task = clicks()
    built = Magnitude().build(task)
    assert 0.24 < task.weigh(built)["stored_ratio"] <= 0.25
    bare = Magnitude().build(clicks(passes=0))
    for kind in (SparseTable, SparseLinear):
        for name, each in parts(built, kind).items():
            other = parts(bare, kind)[name]
            assert torch.equal(each.bitmap, other.bitmap)
            assert not torch.equal(each.values, other.values) or not len(each.values)
    assert not same(built, bare, some_ids(task))
    assert "no weight left" in str(Magnitude().supports(clicks(stored_ratio=0.02)))
