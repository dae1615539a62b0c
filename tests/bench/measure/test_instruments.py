"""Memory and size against what is known."""

import torch

from bench.measure.memory import peak_memory
from bench.measure.size import serialised

MIB = 2**20


def test_peak_memory_sees_an_allocation_that_is_gone_again() -> None:
    with peak_memory("cpu") as peak:
        torch.ones(64 * MIB // 4).sum()
    assert 60 * MIB < peak.above_start < 80 * MIB


def test_peak_memory_of_nothing_is_nothing() -> None:
    with peak_memory("cpu") as peak:
        pass
    assert peak.above_start < 4 * MIB


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
