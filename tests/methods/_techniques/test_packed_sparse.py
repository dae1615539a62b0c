"""The packed layer against the masked dense one."""

import copy
import io

import pytest
import torch
from torch import nn

from methods._techniques.packed_sparse import SparseLinear, pack, pack_bits, unpack_bits


def sparse_case(rows: int, columns: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows * columns)
    weight = torch.randn(rows, columns, generator=generator).to(dtype)
    return weight, torch.rand(rows, columns, generator=generator) > 0.6


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 1000])
def test_bits_come_back(count: int) -> None:
    flags = torch.rand(count, generator=torch.Generator().manual_seed(count)) > 0.5
    packed = pack_bits(flags)
    assert packed.dtype == torch.uint8
    assert len(packed) == (count + 7) // 8
    assert torch.equal(unpack_bits(packed, count), flags)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("rows", "columns"), [(16, 24), (5, 7), (3, 64)])
def test_product_is_that_of_the_masked_matrix(rows: int, columns: int, dtype: torch.dtype) -> None:
    weight, kept = sparse_case(rows, columns, dtype)
    bias = torch.randn(rows).to(dtype)
    layer = SparseLinear(weight, kept, bias)
    assert torch.equal(layer.dense(), weight * kept)
    x = torch.randn(2, 3, columns).to(dtype)
    assert torch.equal(layer(x), nn.functional.linear(x, weight * kept, bias))


def test_survivors_that_are_zero_keep_their_place() -> None:
    weight, kept = sparse_case(8, 8, torch.float32)
    weight[kept.nonzero()[0][0], kept.nonzero()[0][1]] = 0
    assert torch.equal(SparseLinear(weight, kept).dense(), weight * kept)


@pytest.mark.parametrize("kept", [torch.zeros(4, 8, dtype=torch.bool), torch.ones(4, 8, dtype=torch.bool)])
def test_nothing_left_and_everything_left(kept: torch.Tensor) -> None:
    weight = torch.randn(4, 8)
    assert torch.equal(SparseLinear(weight, kept).dense(), weight * kept)


def test_the_state_dict_is_a_bit_a_weight_and_the_survivors() -> None:
    weight, kept = sparse_case(64, 128, torch.bfloat16)
    state = SparseLinear(weight, kept).state_dict()
    assert sum(tensor.untyped_storage().nbytes() for tensor in state.values()) == 64 * 128 // 8 + 2 * int(kept.sum())


def test_it_can_be_saved_copied_and_loaded() -> None:
    weight, kept = sparse_case(8, 16, torch.float32)
    layer = SparseLinear(weight, kept)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = SparseLinear(torch.zeros_like(weight), kept)
    other.load_state_dict(torch.load(file))
    assert torch.equal(other.dense(), layer.dense())
    assert torch.equal(copy.deepcopy(layer).dense(), layer.dense())


def test_only_named_layers_are_packed() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    kept = torch.rand(8, 8) > 0.5
    packed = pack(model, {"1": kept})
    assert isinstance(packed[0], nn.Linear)
    assert isinstance(packed[1], SparseLinear)
    assert not packed.training
