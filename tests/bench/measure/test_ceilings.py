"""Ceilings: what is measured is possible, what is stored only ever rises."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from bench.measure import ceilings as measure
from bench.measure.ceilings import measure_ceilings
from bench.record.ceilings import BrokenCeilings, Ceilings, ceilings_path, merged, read_ceilings, store_ceilings
from bench.record.store import read_all


def table(bandwidth: dict[int, float], matrix: dict[str, float], hardware: str = "cpu-x-1t") -> Ceilings:
    return Ceilings(
        hardware=hardware, bandwidth=bandwidth, matrix=matrix, measured=datetime.now(UTC), versions={"torch": "1"}
    )


BROKEN = [
    b"{",
    b"[]",
    b"\xff\x00",
    b"[" * 100_000,
    table({1: 1.0}, {"a": 1.0}, "other").model_dump_json().encode(),
    table({1: 1.0}, {"a": 1.0}).model_dump_json().replace("1.0", "NaN", 1).encode(),
    table({1: 1.0}, {"a": 1.0}).model_dump_json().replace("1.0", "0.0", 1).encode(),
    table({1: 1.0}, {"a": 1.0}).model_dump_json().replace('{"a":1.0}', "{}").encode(),
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SIZES", (2**16, 2**20))
    monkeypatch.setattr(measure, "MATRIX_ORDERS", (64, 128))


@pytest.mark.usefixtures("small")
def test_measured_rates_are_possible_ones() -> None:
    found = measure_ceilings("cpu", threads=1, seconds=0.2)
    assert found.hardware.endswith("-1t")
    assert set(found.bandwidth) == {2**16, 2**20}
    assert found.matrix.keys() >= {"float32", "float64", "bfloat16"}
    assert not found.matrix.keys() & {"tf32", "float8"}  # no kernels of the CPU
    assert all(1e8 < rate < 1e13 for rate in found.bandwidth.values())
    assert 1e8 < found.matrix["float32"] < 1e14


@pytest.mark.usefixtures("small")
def test_a_buffer_that_is_read_many_times_in_a_call_counts_each_time() -> None:
    """One pass over 64 KiB takes microseconds: if passes were counted once, the rate would be 64 times too low."""
    cells = {cell.key: cell for cell in measure._bandwidth_cells("cpu") if "sum" in str(cell.run)}
    assert cells[2**16].amount == measure.LEAST_BYTES["cpu"]
    assert torch.equal(torch.as_tensor(cells[2**16].run()), torch.full((64,), 2.0**14))


def test_no_buffer_is_larger_than_its_share_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        available = 2**20 * measure.MEMORY_SHARE

    monkeypatch.setattr(measure.psutil, "virtual_memory", Small)
    assert max(cell.key for cell in measure._bandwidth_cells("cpu")) == 2**20


def test_the_command_prints_and_stores(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure.main(["--seconds", "0.1", "--json", "--results", str(tmp_path)])
    printed = Ceilings.model_validate(json.loads(capsys.readouterr().out))
    assert read_ceilings(tmp_path, printed.hardware) == printed
    assert read_all(tmp_path) == ([], [])


def test_merging_keeps_the_best_ever_seen(tmp_path: Path) -> None:
    first, second = table({1: 5.0, 2: 3.0}, {"a": 1.0}), table({2: 4.0, 3: 1.0}, {"a": 0.5, "b": 2.0})
    store_ceilings(tmp_path, first)
    both = store_ceilings(tmp_path, second)
    assert both.bandwidth == {1: 5.0, 2: 4.0, 3: 1.0}
    assert both.matrix == {"a": 1.0, "b": 2.0}
    assert read_ceilings(tmp_path, "cpu-x-1t") == both
    assert merged(both, first) is both  # nothing rose: neither does the date


def test_two_machines_do_not_mix() -> None:
    with pytest.raises(ValueError, match="do not go together"):
        merged(table({1: 1.0}, {"a": 1.0}), table({1: 1.0}, {"a": 1.0}, "other"))


def test_a_broken_file_says_what_to_do_and_a_missing_one_is_none(tmp_path: Path) -> None:
    assert read_ceilings(tmp_path, "cpu-x-1t") is None
    path = ceilings_path(tmp_path, "cpu-x-1t")
    path.parent.mkdir()
    good = table({1: 1.0}, {"a": 1.0})
    for broken in BROKEN:
        path.write_bytes(broken)
        with pytest.raises(BrokenCeilings, match="delete it"):
            read_ceilings(tmp_path, "cpu-x-1t")
        assert store_ceilings(tmp_path, good) == good
    path.unlink()
    path.mkdir()
    with pytest.raises(BrokenCeilings, match="delete it"):
        read_ceilings(tmp_path, "cpu-x-1t")


@pytest.mark.parametrize(("moved", "rate"), [(0, 9.0), (50, 9.0), (100, 9.0), (999, 9.0), (1000, 6.0), (10**9, 5.0)])
def test_bandwidth_is_never_less_than_what_the_table_shows_possible(moved: float, rate: float) -> None:
    assert table({10: 7.0, 100: 9.0, 1000: 4.0, 10000: 6.0, 10**8: 5.0}, {"a": 1.0}).bandwidth_at(moved) == rate


@pytest.mark.gpu
def test_a_real_gpu_has_its_types(cuda: str) -> None:
    found = measure_ceilings(cuda, threads=1, seconds=3)
    assert found.matrix.keys() >= {"float32", "tf32", "bfloat16", "float16", "int8"}
    assert found.matrix["bfloat16"] > found.matrix["float32"]
    assert max(found.bandwidth) == max(measure.SIZES)
