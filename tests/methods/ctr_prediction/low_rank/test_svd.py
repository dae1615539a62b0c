"""The nearest matrix of low rank, at the ranks of ctr-low-rank."""

import pytest
import torch
from torch import nn

from methods.ctr_prediction._thin import ThinLayer, ThinTable, parts, rank_at, truncated_layers, truncated_tables
from methods.ctr_prediction.low_rank.ctr_low_rank import CTRLowRank
from methods.ctr_prediction.low_rank.svd import SVD
from tests.methods.ctr_prediction.conftest import Make, same, some_ids


def test_the_squared_error_is_the_sum_of_the_dropped_squared_singular_values(clicks: Make) -> None:
    model = clicks().model
    (name, thin), *_ = truncated_tables(model, 0.2).items()
    table = model.get_submodule(name).weight
    values = torch.linalg.svdvals(table)
    error = (thin(torch.arange(len(table))) - table).detach().square().sum()
    rank = thin.codes.embedding_dim
    assert float(error) == pytest.approx(float(values[rank:].detach().square().sum()), rel=1e-3)
    layer = truncated_layers(model, 0.3, whole_first=True)["mlp.3"]
    product = layer.up.weight @ layer.down.weight
    dropped = torch.linalg.svdvals(model.mlp[3].weight)[layer.down.out_features :].square().sum()
    assert float((product - model.mlp[3].weight).square().sum()) == pytest.approx(float(dropped), rel=1e-3)
    assert torch.equal(layer.up.bias, model.mlp[3].bias)


def test_ranks_and_bytes_are_those_of_ctr_low_rank(clicks: Make) -> None:
    task = clicks(passes=0)
    one, other = SVD().build(task), CTRLowRank(between=False).build(clicks(passes=0))
    for kind in (ThinTable, ThinLayer):
        assert [
            [each.shape for each in part.parameters()] for part in parts(one, kind).values()
        ] == [[each.shape for each in part.parameters()] for part in parts(other, kind).values()]  # fmt: skip
    assert abs(task.weigh(one)["stored_ratio"] - task.weigh(other)["stored_ratio"]) < 1e-3
    assert not same(one, other, some_ids(task), 1e-3)


def test_the_activation_is_the_variants_alone_and_training_moves_it(clicks: Make) -> None:
    plain, cut = SVD().build(clicks(passes=0)), SVD(between=True).build(clicks(passes=0))
    assert {type(each.between) for each in parts(plain, ThinLayer).values()} == {nn.Identity}
    assert {type(each.between) for each in parts(cut, ThinLayer).values()} == {nn.ReLU}
    task = clicks()
    assert not same(SVD().build(task), plain, some_ids(task))
    assert "rank 1" in str(SVD().supports(clicks(stored_ratio=0.02)))


def test_the_rank_at_a_share_holds_that_share_of_the_numbers() -> None:
    weight = torch.zeros(600, 30)
    assert rank_at(weight, 0.5) == int(0.5 * 600 * 30 / 630) == 14
    assert rank_at(weight, 0.0) == 1
