"""Principal components of what tables and layers give, and that what is built comes of them."""

import pytest
import torch
from torch import Tensor, nn

from methods.ctr_prediction import _recovery
from methods.ctr_prediction._parts import copied, layers, lookups, tables
from methods.ctr_prediction._thin import ThinLayer, ThinTable, linear, parts, roots, thin_layer
from methods.ctr_prediction.low_rank import ctr_low_rank
from methods.ctr_prediction.low_rank.ctr_low_rank import (
    CTRLowRank,
    moments,
    output_moments,
    principal,
    principal_table,
)
from tests.methods.ctr_prediction.conftest import Make, same, some_ids


def skewed(rows: int = 300, width: int = 6) -> Tensor:
    """Rows with a mean and unlike directions."""
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    return (torch.randn(rows, width, generator=generator) * torch.arange(1, width + 1)) @ turn + torch.arange(width)


def a_layer() -> tuple[nn.Linear, Tensor]:
    torch.manual_seed(1)
    return nn.Linear(6, 5), skewed()


def test_the_error_is_the_sum_of_the_dropped_eigenvalues_and_never_above_that_of_the_weights() -> None:
    layer, inputs = a_layer()
    outputs = layer(inputs).detach()
    mean, spread = moments([outputs[:100].double(), outputs[100:].double()])
    values = torch.linalg.eigvalsh(spread)
    for rank in (1, 2, 4):
        thin = thin_layer(layer, principal(mean, spread, rank), mean, between=False)
        error = (thin(inputs) - outputs).square().sum(1).mean().detach()
        assert float(error) == pytest.approx(float(values[: 5 - rank].sum()), rel=1e-3)
        left, root, right = roots(layer.weight, rank)
        plain = ThinLayer(linear(root[:, None] * right, torch.zeros(rank)), linear(left * root, layer.bias), False)
        assert error < (plain(inputs) - outputs).square().sum(1).mean()


def test_at_full_rank_it_is_the_layer_but_not_with_an_activation() -> None:
    layer, inputs = a_layer()
    mean, spread = moments([layer(inputs).detach().double()])
    basis = principal(mean, spread, 5)
    assert torch.allclose(thin_layer(layer, basis, mean, False)(inputs), layer(inputs), atol=1e-4)
    cut = thin_layer(layer, basis, mean, True)
    assert not torch.allclose(cut(inputs), layer(inputs), atol=1e-1)
    inner = basis.float().T @ layer(inputs).detach().T
    wanted = (basis.float() @ inner.relu()).T + (mean.float() - basis.float() @ (basis.float().T @ mean.float()))
    assert torch.allclose(cut(inputs), wanted, atol=1e-4)


def test_components_are_orthonormal_the_largest_first_and_point_where_the_mean_is() -> None:
    rows = skewed().double()
    mean, spread = moments([rows])
    assert torch.allclose(mean, rows.mean(0))
    assert torch.allclose(spread, torch.cov(rows.T, correction=0))
    basis = principal(mean, spread, 3)
    assert torch.allclose(basis.T @ basis, torch.eye(3, dtype=torch.float64), atol=1e-9)
    along = (basis.T @ spread @ basis).diagonal()
    assert torch.allclose(along, torch.linalg.eigvalsh(spread).flip(0)[:3])
    assert (mean @ basis >= 0).all()
    assert torch.allclose(principal(-mean, spread, 3), -basis)


def test_entries_of_a_table_weigh_as_often_as_they_are_looked_up() -> None:
    table = nn.Embedding.from_pretrained(skewed(80, 8))
    counts = torch.randint(0, 9, (80,), generator=torch.Generator().manual_seed(2)).double()
    looked_up = table.weight.repeat_interleave(counts.long(), 0).double()
    _, spread = moments([looked_up])
    values = torch.linalg.eigvalsh(spread)
    ids = torch.arange(80).repeat_interleave(counts.long())
    for rank in (2, 5):
        error = (principal_table(table, counts, rank)(ids) - table(ids)).square().sum(1).mean()
        assert float(error) == pytest.approx(float(values[: 8 - rank].sum()), rel=1e-3)
        plain = (principal_table(table, torch.ones(80), rank)(ids) - table(ids)).square().sum(1).mean()
        assert error < plain
    assert torch.allclose(principal_table(table, counts, 8)(ids), table(ids), atol=1e-4)
    never = principal_table(table, torch.zeros(80), 2)
    assert torch.isfinite(never(ids)).all()


def test_look_ups_are_counted_by_field_without_what_is_not_there(clicks: Make) -> None:
    task = clicks()
    ids = some_ids(task, 50)
    found = lookups(task.model, ids)
    assert float(found["tables.by_field.user_id"].sum()) == 50
    assert int(found["tables.by_field.user_id"][0]) == int((ids[:, 0] == 0).sum())
    words = found["tables.by_field.genres"]
    assert float(words.sum()) == float((ids[:, 4:] > 0).sum())
    assert words[0] == 0
    assert tables(task.model).keys() <= found.keys()


def test_moments_are_of_what_layers_give_before_the_activation(clicks: Make) -> None:
    task = clicks(base="dcn")
    ids = some_ids(task, 40)
    found = output_moments(task.model, ids, at_once=16)
    vectors = task.model.tables(ids).flatten(1)
    first, second = layers(task.model).values().__iter__().__next__(), list(layers(task.model).values())[1]
    assert torch.allclose(found["mlp.0"][0].float(), first(vectors).mean(0), atol=1e-5)
    assert torch.allclose(found["mlp.3"][0].float(), second(first(vectors).relu()).mean(0), atol=1e-5)
    assert not task.model.mlp[0]._forward_hooks


@pytest.mark.parametrize("base", ["deepfm", "dcn"])
def test_without_training_and_activation_at_full_rank_it_is_the_base(
    clicks: Make, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctr_low_rank, "rank_at", lambda weight, share: min(weight.shape))
    task = clicks(base=base, passes=0)
    built = CTRLowRank(between=False).build(task)
    assert len(parts(built, ThinTable)) == 2
    assert same(built, task.model, some_ids(task, 50), 1e-3)
    assert not same(CTRLowRank().build(clicks(base=base, passes=0)), task.model, some_ids(task, 50), 1e-3)


@pytest.mark.parametrize("point", ["size-50", "size-25", "time-size-25"])
def test_what_is_built_is_thin_but_for_the_first_layer_and_meets_the_limit(clicks: Make, point: str) -> None:
    task = clicks(point)
    built = CTRLowRank().build(task)
    (limit,) = task.limits.result.values()
    assert 0.85 * limit < task.weigh(built)["stored_ratio"] <= limit
    assert parts(built, ThinTable).keys() == tables(task.model).keys()
    thin = parts(built, ThinLayer)
    assert list(thin) == ["mlp.3", "mlp.6"]
    assert all(isinstance(each.between, nn.ReLU) for each in thin.values())
    assert built.mlp[0].weight.shape == task.model.mlp[0].weight.shape


def test_where_the_first_layer_cannot_stay_whole_it_is_thin_too(clicks: Make) -> None:
    assert CTRLowRank.at_point == {"size-10": {"whole_first": False}}
    task = clicks("size-10")
    assert "but the first layer" in str(CTRLowRank().supports(clicks(stored_ratio=0.12)))
    method = CTRLowRank(whole_first=False)
    assert method.supports(task) is None
    built = method.build(task)
    assert list(parts(built, ThinLayer)) == ["mlp.0", "mlp.3", "mlp.6"]
    assert task.weigh(built)["stored_ratio"] <= 0.1


def test_build_takes_the_components_of_outputs_and_of_look_ups(clicks: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start of the training: what the training is given is what the statistics say."""
    given: list[nn.Module] = []
    monkeypatch.setattr(ctr_low_rank, "recover", lambda task, model, rate: given.append(copied(model)))
    task = clicks()
    CTRLowRank().build(task)
    (start,) = given
    ids = task.supplies["calibration"].supply._rows.ids  # type: ignore[attr-defined]
    rows = torch.from_numpy(ids).long()
    counts, outputs = lookups(task.model, rows), output_moments(task.model, rows)
    table = start.get_submodule("tables.by_field.item_id")
    rank = table.codes.embedding_dim
    wanted = principal_table(task.model.tables.by_field["item_id"], counts["tables.by_field.item_id"], rank)
    assert torch.allclose(table(rows[:20, 2]), wanted(rows[:20, 2]), atol=1e-5)
    uniform = principal_table(task.model.tables.by_field["item_id"], torch.ones(len(wanted.codes.weight)), rank)
    assert not torch.allclose(table(rows[:20, 2]), uniform(rows[:20, 2]), atol=1e-4)
    layer = start.get_submodule("mlp.3")
    mean, spread = outputs["mlp.3"]
    basis = principal(mean, spread, layer.down.out_features).float()
    assert torch.allclose(layer.up.weight, basis, atol=1e-5)
    assert torch.allclose(layer.down.weight, basis.T @ task.model.mlp[3].weight, atol=1e-5)
    assert torch.allclose(layer.down.bias, basis.T @ task.model.mlp[3].bias, atol=1e-5)
    assert torch.allclose(layer.up.bias, mean.float() - basis @ (basis.T @ mean.float()), atol=1e-5)


def test_all_of_it_is_trained_on_for_all_passes(clicks: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task, trained = clicks(passes=640), []
    real = _recovery.train
    monkeypatch.setattr(_recovery, "train", lambda *given: trained.append((len(given[1]), given[2])) or real(*given))
    built = CTRLowRank(rate=3e-3).build(task)
    assert trained == [(10, 3e-3)]
    before = CTRLowRank(rate=3e-3).build(clicks(passes=0))
    moved = [not torch.equal(one, two) for one, two in zip(built.parameters(), before.parameters(), strict=True)]
    assert all(moved)
    assert same(built, CTRLowRank(rate=3e-3).build(clicks(passes=640)), some_ids(task), 0.0)
