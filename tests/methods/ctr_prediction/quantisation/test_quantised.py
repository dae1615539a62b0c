"""Codes of a few bits, packed."""

import pytest
import torch

from methods.ctr_prediction._thin import parts
from methods.ctr_prediction.quantisation import quantised
from methods.ctr_prediction.quantisation._codes import (
    HalfTable,
    PackedLayer,
    PackedTable,
    Rounded,
    best_clip,
    rounded,
    valued,
)
from methods.ctr_prediction.quantisation.quantised import Quantised
from tests.methods.ctr_prediction.conftest import Make, same, some_ids


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8])
def test_what_is_packed_is_what_was_rounded(bits: int) -> None:
    torch.manual_seed(bits)
    weight = torch.randn(20, 16) * torch.rand(20, 1)
    codes, step = rounded(weight, bits, 0.9)
    assert codes.min() == 0
    assert codes.max() == 2**bits - 1
    wanted = valued(codes, step, bits)
    ids = torch.tensor([[3, 19], [0, 3]])
    table = PackedTable(weight, bits, 0.9)
    assert torch.allclose(table(ids), wanted[ids], atol=1e-6)
    assert table.planes.shape == (20, bits * 2)
    assert table.planes.dtype == torch.uint8
    assert table.step.dtype == torch.float16
    layer = PackedLayer(weight, bits, 0.9, torch.ones(20))
    inputs = torch.randn(3, 16)
    assert torch.allclose(layer(inputs), inputs @ wanted.T + 1, atol=1e-5)
    inside = (weight - wanted).abs()[(weight.abs() <= weight.abs().amax(1, keepdim=True) * 0.9)]
    assert (inside <= step.max() / 2 + 1e-6).all()


def test_a_clip_leaves_less_error_with_few_bits_and_gradients_go_straight_through() -> None:
    torch.manual_seed(0)
    weight = torch.randn(50, 32, requires_grad=True)
    assert best_clip(weight, 2) < best_clip(weight, 8)
    Rounded(2, 0.7)(weight).square().sum().backward()
    assert torch.allclose(weight.grad, 2 * valued(*rounded(weight, 2, 0.7), 2), atol=1e-5)


@pytest.mark.parametrize(("point", "least"), [("size-50", 8), ("size-25", 3), ("size-10", 1)])
def test_it_takes_the_most_bits_and_meets_the_limit(clicks: Make, point: str, least: int) -> None:
    task = clicks(point)
    built = Quantised().build(task)
    found = parts(built, PackedTable)
    assert found.keys() == {"tables.by_field.user_id", "tables.by_field.item_id"}
    assert list(parts(built, PackedLayer)) == ["mlp.0", "mlp.3", "mlp.6"]
    assert parts(built, HalfTable).keys() == {"first.by_field.user_id", "first.by_field.item_id"}
    (bits,) = {each.bits for each in found.values()}
    assert bits >= least
    assert task.limits.met_by(task.weigh(built))
    if bits < quantised.MOST:
        more = quantised.packed(task.model, bits + 1, quantised.clips(task.model, bits + 1))
        assert not task.limits.met_by(task.weigh(more))


def test_it_is_trained_as_it_is_stored(clicks: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task, seen = clicks("size-10"), []
    real = quantised.recover

    def spy(task, model, rate):  # type: ignore[no-untyped-def]
        real(task, model, rate)
        with torch.no_grad():
            seen.append(model(some_ids(task, 30)))

    monkeypatch.setattr(quantised, "recover", spy)
    built = Quantised(rate=1e-2).build(task)
    assert torch.allclose(built(some_ids(task, 30)), seen[0], atol=2e-2)
    assert not same(built, Quantised().build(clicks("size-10", passes=0)), some_ids(task))
    assert "one bit" in str(Quantised().supports(clicks(stored_ratio=0.02)))
