"""The same network with shorter vectors and narrower layers."""

import pytest

from methods.ctr_prediction._parts import layers, tables
from methods.ctr_prediction.low_rank.smaller import Smaller, narrowed
from tests.methods.ctr_prediction.conftest import Make, same, some_ids


@pytest.mark.parametrize("base", ["deepfm", "dcn"])
def test_it_is_the_widest_of_the_bases_kind_that_fits_and_learns_from_nothing(clicks: Make, base: str) -> None:
    task = clicks(base=base)
    built = Smaller().build(task)
    assert type(built) is type(task.model)
    width = next(iter(tables(built).values())).embedding_dim
    assert 0.2 < task.weigh(built)["stored_ratio"] <= 0.25
    assert 1 < width < 48
    wider = narrowed(task, (width + 1) / 48)
    assert task.weigh(wider)["stored_ratio"] > 0.25
    assert [each.out_features for each in layers(built).values()] == [layers(built)["mlp.0"].out_features] * 3
    ids = some_ids(task)
    assert not same(built, Smaller().build(clicks(base=base, passes=0)), ids)
    assert same(built, Smaller().build(clicks(base=base)), ids, 0.0)
    assert not same(built, Smaller().build(clicks(base=base, seed=1)), ids)


def test_where_nothing_is_small_enough_it_says_so(clicks: Make) -> None:
    assert "one number" in str(Smaller().supports(clicks(stored_ratio=0.01)))
