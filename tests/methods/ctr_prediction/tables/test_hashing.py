"""Ids that share an entry."""

import torch
from torch import nn

from methods.ctr_prediction._parts import every_table
from methods.ctr_prediction._thin import ThinLayer, parts
from methods.ctr_prediction.tables.hashing import Hashed, Hashing, shared
from tests.methods.ctr_prediction.conftest import Make, same, some_ids


def test_an_entry_begins_as_the_mean_of_those_that_share_it() -> None:
    table = nn.Embedding(200, 3)
    found = shared(table, 20, 1_234_567_891, 678)
    ids = torch.arange(200)
    places = found.places(ids)
    assert (places >= 0).all()
    assert (places < 20).all()
    assert places.bincount(minlength=20).max() < 30  # spread
    for place in range(20):
        mine = table.weight[places == place]
        if len(mine):
            assert torch.allclose(found.table.weight[place], mine.mean(0), atol=1e-6)
    assert torch.equal(found(ids[:4].view(2, 2)), found.table.weight[places[:4]].view(2, 2, 3))


def test_tables_are_hashed_with_their_first_order_weights_and_the_limit_is_met(clicks: Make) -> None:
    task = clicks()
    built = Hashing().build(task)
    assert 0.22 < task.weigh(built)["stored_ratio"] <= 0.25
    hollow = Hashing()._hollow(task, 0.5)
    largest = max(len(str(each.a)) for each in parts(hollow, Hashed).values())
    assert all(len(str(each.a)) <= largest for each in parts(built, Hashed).values())  # weighed as they are written
    hashed = parts(built, Hashed)
    assert hashed.keys() == every_table(task.model).keys() == {
        f"{part}.by_field.{field}" for part in ("first", "tables") for field in ("user_id", "item_id")
    }  # fmt: skip
    one, other = hashed["first.by_field.user_id"], hashed["tables.by_field.user_id"]
    ids = torch.arange(50)
    assert torch.equal(one.places(ids), other.places(ids))
    assert list(parts(built, ThinLayer)) == ["mlp.3", "mlp.6"]
    assert "rank 1" in str(Hashing().supports(clicks(stored_ratio=0.02)))


def test_the_hash_is_drawn_from_the_seed_and_all_is_trained_on(clicks: Make) -> None:
    task = clicks()
    built, again = Hashing().build(task), Hashing().build(clicks())
    assert same(built, again, some_ids(task), 0.0)
    places = [parts(Hashing().build(clicks(seed=seed, passes=0)), Hashed)["tables.by_field.item_id"] for seed in (0, 1)]
    ids = torch.arange(100)
    assert not torch.equal(places[0].places(ids), places[1].places(ids))
    assert not same(built, Hashing().build(clicks(passes=0)), some_ids(task))
