"""Products of bfloat16 where the processor has no instructions for them."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from bench.measure.flops import count_flops
from bench.run import bfloat16
from bench.run.bfloat16 import widen_products


@pytest.fixture
def widened(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on such a processor, whatever this one has."""
    monkeypatch.setattr(bfloat16, "slow_products", lambda: True)
    monkeypatch.setattr(bfloat16, "_replaced", [])
    widen_products()
    yield
    bfloat16._replaced[0]._destroy()


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).bfloat16()


def wide(*values: Tensor) -> list[Tensor]:
    return [value.detach().float().requires_grad_(value.requires_grad) for value in values]


@pytest.mark.usefixtures("widened")
@pytest.mark.parametrize("rows", [1, 8])
def test_products_are_those_of_float32_rounded_once(rows: int) -> None:
    x, y, more = random(rows, 300), random(300, 40), random(40)
    batches = random(3, rows, 300), random(3, 300, 40)
    for found, wanted in (
        (x @ y, x.float() @ y.float()),
        (torch.addmm(more, x, y, beta=2, alpha=3), torch.addmm(more.float(), x.float(), y.float(), beta=2, alpha=3)),
        (torch.bmm(*batches), torch.bmm(*wide(*batches))),
        (torch.baddbmm(more, *batches), torch.baddbmm(*wide(more, *batches))),
    ):
        assert found.dtype == torch.bfloat16
        assert torch.equal(found, wanted.bfloat16())


@pytest.mark.usefixtures("widened")
def test_gradients_are_those_of_float32() -> None:
    layer, x = nn.Linear(64, 48, dtype=torch.bfloat16), random(1, 2, 32, 64).requires_grad_()
    reference = nn.Linear(64, 48)
    reference.load_state_dict(layer.state_dict())
    (above,) = wide(x)
    scaled_dot_product_attention(layer(x), layer(x), layer(x), is_causal=True).sum().backward()
    there = reference(above)
    scaled_dot_product_attention(there, there, there, is_causal=True).sum().backward()
    for found, wanted in ((x.grad, above.grad), (layer.weight.grad, reference.weight.grad)):
        assert found is not None
        assert wanted is not None
        assert float((found - wanted).norm() / wanted.norm()) < 0.02


@pytest.mark.usefixtures("widened")
def test_the_way_back_of_attention_is_that_of_float32_rounded_once() -> None:
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    q, k, v, above = (random(1, 2, 32, 16).roll(shift) for shift in range(4))
    out, sums = attention(*wide(q, k, v))
    operands = (above, q, k, v, out.bfloat16())
    found = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(*operands, sums, 0.0, False)
    wanted = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(*wide(*operands), sums, 0.0, False)
    for gradient, reference in zip(found, wanted, strict=True):
        assert torch.equal(gradient, reference.bfloat16())


def test_other_types_and_counts_stay_what_they_are(request: pytest.FixtureRequest) -> None:
    x, y = random(16, 64), random(64, 32)
    before = x.float() @ y.float(), count_flops(lambda: x @ y)
    request.getfixturevalue("widened")
    assert torch.equal(x.float() @ y.float(), before[0])
    assert count_flops(lambda: x @ y) == before[1] == 2 * 16 * 64 * 32


def test_nothing_is_replaced_where_the_processor_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "slow_products", lambda: False)
    monkeypatch.setattr(bfloat16, "_replaced", [])
    widen_products()
    assert not bfloat16._replaced
