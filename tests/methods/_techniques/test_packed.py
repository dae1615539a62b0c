"""Grids, packing, and the products with packed weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.profiler import ProfilerActivity, profile

from bench.measure.flops import count_flops
from methods._techniques import packed
from methods._techniques.grid import SHRINKS, Grid, Quantised, better_rows, fit, nearest
from methods._techniques.packed import KERNEL_INPUTS, PackedEmbedding, PackedLinear, blank, kernel_block, pack, unpack

BF16, F32 = torch.bfloat16, torch.float32


def weights(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def random_codes(rows: int, columns: int, bits: int, group: int, seed: int = 0) -> Quantised:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 2**bits, (rows, columns), generator=generator).to(torch.uint8)
    scale = (torch.rand(rows, columns // group, generator=generator) + 0.1).to(BF16).float()
    zero = torch.randn(rows, columns // group, generator=generator).to(BF16).float()
    return Quantised(Grid(bits, group, scale, zero), codes)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([2, 3, 4]), st.integers(1, 200), st.integers(1, 12), st.integers(0, 2**31))
def test_what_is_packed_comes_out_again(bits: int, rows: int, groups: int, seed: int) -> None:
    quantised = random_codes(rows, 16 * groups, bits, 16, seed)
    found = unpack(pack(quantised, BF16))
    assert torch.equal(found.codes, quantised.codes)
    assert torch.equal(found.grid.scale, quantised.grid.scale)
    assert torch.equal(found.grid.zero, quantised.grid.zero)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_a_packed_weight_takes_its_bits_and_32_for_each_group(bits: int) -> None:
    packed = pack(random_codes(128, 192, bits, 64), BF16)
    assert sum(part.nbytes for part in (packed.low, packed.high, packed.grid) if part is not None) == (
        128 * 192 * bits // 8 + 128 * 3 * 4
    )
    empty = blank(128, 192, bits, 64, BF16, torch.device("cpu"))
    for name in ("low", "high", "grid"):
        made, weighed = getattr(packed, name), getattr(empty, name)
        assert (made is None) == (weighed is None)
        assert made is None or (made.shape, made.dtype, made.stride()) == (
            weighed.shape,
            weighed.dtype,
            weighed.stride(),
        )


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("inputs", [1, 3, KERNEL_INPUTS, KERNEL_INPUTS + 1])
@pytest.mark.parametrize(
    ("rows", "columns", "group", "dtype"), [(128, 192, 64, BF16), (42, 80, 16, F32), (64, 64, 32, BF16)]
)
def test_products_are_right_on_both_ways(
    bits: int, inputs: int, rows: int, columns: int, group: int, dtype: torch.dtype
) -> None:
    quantised = random_codes(rows, columns, bits, group)
    bias = weights(1, rows, 3)[0].to(dtype)
    layer = PackedLinear(pack(quantised, dtype), bias)
    x = weights(inputs, columns, 1).to(dtype)
    exact = x.double() @ quantised.values.double().T + bias.double()
    bound = 1e-5 if dtype == F32 else 2**-6
    assert layer(x).dtype == dtype
    assert (layer(x).double() - exact).abs().max() <= bound * exact.abs().max()
    assert torch.equal(layer(x.view(1, inputs, columns))[0], layer(x))


def test_matrices_of_more_rows_than_a_piece_are_put_together_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for bits in (3, 4):
        layer = PackedLinear(pack(random_codes(320, 64, bits, 64), BF16))
        for inputs in (2, 60):
            x = weights(inputs, 64).bfloat16()
            whole = layer(x)
            with monkeypatch.context() as patch:
                patch.setattr(packed, "PIECE", 128)
                assert torch.equal(layer(x), whole)


@pytest.mark.skipif(kernel_block() is None, reason="this CPU has no 4-bit kernel of a known layout")
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_decoding_runs_the_4_bit_kernel(bits: int) -> None:
    layer = PackedLinear(pack(random_codes(128, 192, bits, 64), BF16))
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        layer(weights(1, 192).bfloat16())
    assert "aten::_weight_int4pack_mm_for_cpu" in {event.key for event in trace.key_averages()}


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("dtype", [BF16, F32])
def test_looked_up_rows_are_those_of_the_matrix(bits: int, dtype: torch.dtype) -> None:
    quantised = random_codes(100, 64, bits, 32)
    table = PackedEmbedding(pack(quantised, dtype), dtype)
    ids = torch.randperm(100, generator=torch.Generator().manual_seed(0)).view(4, 25)
    assert torch.equal(table(ids), quantised.values[ids].to(dtype))


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("inputs", [1, 100])
def test_flops_are_those_of_the_dense_product(bits: int, inputs: int) -> None:
    layer = PackedLinear(pack(random_codes(128, 192, bits, 64), BF16))
    assert count_flops(lambda: layer(weights(inputs, 192).bfloat16())) == 2 * inputs * 128 * 192


def test_a_cast_leaves_the_grid_in_its_16_bits() -> None:
    quantised = random_codes(64, 64, 4, 32)
    module = nn.Sequential(PackedLinear(pack(quantised, BF16))).float()
    assert module[0].grid.dtype == BF16
    x = weights(3, 64)
    torch.testing.assert_close(module(x), x @ quantised.values.T, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("dtype", [BF16, F32])
def test_each_weight_goes_to_the_nearest_level(bits: int, dtype: torch.dtype) -> None:
    """Against all levels, one by one."""
    weight = weights(5, 32).to(dtype)
    weight[2] = 0
    quantised = nearest(weight, bits, 16, clip=False)
    grid = quantised.grid
    lowest, highest = grid.codes
    levels = torch.stack([grid.values(torch.full((5, 32), code)) for code in range(lowest, highest + 1)])
    assert torch.equal((quantised.values - weight.float()).abs(), (levels - weight.float()).abs().amin(0))
    # All levels are in reach: the ends of the range are those of the weights, up to the rounding of the grid.
    step = grid.scale.repeat_interleave(grid.group, 1)
    assert ((quantised.values - weight.float()).abs() <= 0.55 * step + 0.04 * step * (bits < 8)).all()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_clipping_never_raises_the_error_of_a_group_and_finds_the_best_factor(bits: int) -> None:
    weight = torch.distributions.StudentT(3.0).sample((8, 64)) if bits == 0 else weights(8, 64, 5).pow(3)

    def error(quantised: Quantised) -> torch.Tensor:
        return (quantised.values - weight).square().unflatten(1, (-1, 32)).sum(2)

    plain, clipped = nearest(weight, bits, 32, clip=False), nearest(weight, bits, 32, clip=True)
    assert (error(clipped) <= error(plain) * (1 + 1e-6)).all()
    assert (error(clipped) < 0.9 * error(plain)).any()
    assert len(SHRINKS) > 5


def test_bits_that_nobody_packs_are_refused() -> None:
    with pytest.raises(ValueError, match="not 5"):
        fit(weights(4, 8), 5, 8, clip=False)


def test_rows_are_taken_from_where_their_outputs_miss_less() -> None:
    weight, hessian = weights(6, 16), torch.eye(16)
    good, bad = nearest(weight, 4, 16, clip=True), nearest(weight, 2, 16, clip=True)
    bad = Quantised(Grid(4, 16, bad.grid.scale, bad.grid.zero), bad.codes)
    mixed = Quantised(good.grid, torch.cat([good.codes[:3], 15 - good.codes[3:]]))
    assert torch.equal(better_rows(mixed, good, weight, hessian).codes, good.codes)
    assert torch.equal(better_rows(good, bad, weight, hessian).values, good.values)
