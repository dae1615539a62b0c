"""Trains of three cores."""

import pytest
import torch
from torch import nn

from methods.ctr_prediction._thin import ThinLayer, parts
from methods.ctr_prediction.tables import tensor_train
from methods.ctr_prediction.tables.tensor_train import (
    TensorTrain,
    TrainTable,
    decomposed,
    hollow_cores,
    rank_at,
    sides,
    size_of,
)
from tests.methods.ctr_prediction.conftest import Make, same, some_ids


@pytest.mark.parametrize("shape", [(100, 8), (65, 48), (1499, 32), (70, 7)])
def test_sides_hold_the_table(shape: tuple[int, int]) -> None:
    (n1, n2, n3), (d1, d2, d3) = sides(torch.zeros(shape))
    assert n1 * n2 * n3 >= shape[0] > n1 * n2 * (n3 - 1)
    assert d1 * d2 * d3 == shape[1]


def test_at_full_rank_it_is_the_table_and_less_is_further_off() -> None:
    torch.manual_seed(0)
    weight = torch.randn(70, 8)
    ids = torch.arange(70).view(7, 10)
    apart = [float((TrainTable(decomposed(weight, rank))(ids) - weight[ids]).norm()) for rank in (2, 5, 20)]
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] == pytest.approx(0, abs=1e-3)


def test_a_train_of_rank_r_is_found_again() -> None:
    torch.manual_seed(0)
    cores = [torch.randn_like(each) for each in hollow_cores(torch.zeros(64, 8), 2)]
    ids = torch.arange(64)
    with torch.no_grad():
        weight = TrainTable(tuple(cores))(ids)  # type: ignore[arg-type]
        assert torch.allclose(TrainTable(decomposed(weight, 2))(ids), weight, atol=1e-3)
        training = TrainTable(decomposed(weight, 2)).train()
        assert torch.allclose(
            training(ids[:6].view(2, 3).repeat(2, 1)), weight[ids[:6].view(2, 3).repeat(2, 1)], atol=1e-3
        )


def test_the_rank_is_the_largest_that_fits() -> None:
    weight = torch.zeros(600, 32)
    rank = rank_at(weight, 0.2)
    assert size_of(weight, rank) <= 0.2 * 600 * 32 < size_of(weight, rank + 1)
    assert rank_at(weight, 0.0) == 1
    assert size_of(weight, rank) == sum(each.numel() for each in hollow_cores(weight, rank))


def test_build_decomposes_each_table_meets_the_limit_and_trains(clicks: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = tensor_train.decomposed
    monkeypatch.setattr(tensor_train, "decomposed", lambda weight, rank: asked.append(rank) or real(weight, rank))
    task = clicks()
    built = TensorTrain().build(task)
    assert len(asked) == len(parts(built, TrainTable)) == 2
    assert 0.2 < task.weigh(built)["stored_ratio"] <= 0.25
    assert list(parts(built, ThinLayer)) == ["mlp.3", "mlp.6"]
    assert not same(built, TensorTrain().build(clicks(passes=0)), some_ids(task))
    assert "rank 1" in str(TensorTrain().supports(clicks(stored_ratio=0.02)))
    assert isinstance(task.model.tables.by_field["user_id"], nn.Embedding)
