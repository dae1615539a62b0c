"""The base, trained on or not, and what knows only the item."""

import torch

from bench.registry import open_registry
from methods.ctr_prediction.baseline.dense import Dense
from methods.ctr_prediction.baseline.popularity import Popularity
from methods.ctr_prediction.baseline.trained_on import TrainedOn
from tests.methods.ctr_prediction.conftest import Make, same, some_ids


def test_dense_is_the_base_and_the_other_is_trained_on(clicks: Make) -> None:
    task = clicks("unlimited")
    assert Dense().supports(task) is None
    assert Dense().build(task) is task.model
    before = [each.clone() for each in task.model.parameters()]
    tuned = TrainedOn().build(task)
    assert not same(tuned, task.model, some_ids(task))
    assert all(torch.equal(one, two) for one, two in zip(task.model.parameters(), before, strict=True))
    assert Dense().supports(clicks()) == TrainedOn().supports(clicks())
    assert "over every limit" in str(Dense().supports(clicks()))


def test_popularity_is_the_click_rate_of_the_item_whoever_asks(clicks: Make) -> None:
    task = clicks(passes=10_000)
    built = Popularity(prior=2.0).build(task)
    assert task.left("sample_passes") == 216_000 - task.rows
    rows = task.supplies["training"].supply._rows  # type: ignore[attr-defined]
    item = 7
    mine = rows.clicks[rows.ids[:, 2] == item]
    rate = (mine.sum() + 2.0 * rows.clicks.mean()) / (len(mine) + 2.0)
    ids = some_ids(task, 4).clone()
    ids[:, 2] = item
    assert torch.allclose(built(ids).sigmoid(), torch.full((4,), float(rate)), atol=1e-5)
    assert same(built, Popularity(prior=2.0).build(clicks(passes=10_000, seed=3)), some_ids(task), 0.0)
    ids[:, 0] = 5
    assert len(set(built(ids).tolist())) == 1
    assert open_registry(plugins=False).trivial("ctr-prediction") == {"popularity"}
