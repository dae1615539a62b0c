"""Bytes of what is stored and of what is held, against sums by hand."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from bench.measure.size import resident, serialised


def test_size_counts_shared_storage_once_and_whole_storage_of_a_view() -> None:
    tensor = torch.zeros(100_000)
    alone, _ = serialised({"a": tensor})
    shared, _ = serialised({"a": tensor, "b": tensor})
    copied, _ = serialised({"a": tensor, "b": tensor.clone()})
    view, _ = serialised({"a": tensor[:10]})
    assert 400_000 < alone < 410_000
    assert shared - alone < 2_000
    assert copied - alone > 390_000
    assert abs(view - alone) < 2_000


def test_digest_tells_a_changed_weight() -> None:
    tensor = torch.zeros(1000)
    before = serialised({"a": tensor})[1]
    assert serialised({"a": tensor.clone()})[1] == before
    tensor[3] = 1e-7
    assert serialised({"a": tensor})[1] != before


def test_resident_bytes_count_each_storage_once_wherever_it_is_held() -> None:
    @dataclass
    class Holder:
        model: nn.Module
        more: object

    layer = nn.Linear(100, 50, bias=False)
    layer.register_buffer("mask", torch.ones(8, dtype=torch.int8))
    shared = layer.weight[:3]
    assert resident(Holder(layer, {"a": [shared, (shared,)], "b": torch.ones(2), "c": 3})) == 100 * 50 * 4 + 8 + 2 * 4


@pytest.mark.filterwarnings("ignore::UserWarning")  # sparse CSR is in beta
def test_resident_bytes_of_quantised_and_sparse_tensors_are_those_of_their_parts() -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = nn.Sequential(nn.Linear(64, 32, bias=False)).to(torch.bfloat16)
    quantize_(model, Int8WeightOnlyConfig())
    assert 64 * 32 <= resident(model) <= 64 * 32 + 8 * 32
    rows, columns = torch.arange(11), torch.arange(10)
    sparse = torch.sparse_csr_tensor(rows, columns, torch.ones(10), (10, 10), check_invariants=False)
    assert resident([sparse]) == 10 * 4 + 10 * 8 + 11 * 8
