"""The floor under times: honest ones stand on it, answers from a cache fall through."""

from datetime import UTC, datetime

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.measure import ceilings
from bench.measure.clock import clock
from bench.measure.roofline import floor_seconds, implausible, quantity
from bench.measure.work import count_work
from bench.record.ceilings import Ceilings
from bench.record.schema import Timing

CEILINGS = Ceilings(
    hardware="cpu-x-1t",
    bandwidth={2**16: 100e9, 2**24: 40e9, 2**28: 20e9},
    matrix={"float32": 0.1e12, "bfloat16": 0.2e12},
    measured=datetime.now(UTC),
    versions={},
)
amounts = st.floats(0, 1e13)
tables = st.dictionaries(st.integers(1, 2**30), st.floats(1e6, 1e13), min_size=1).map(
    lambda table: CEILINGS.model_copy(update={"bandwidth": table})
)


def timing(seconds: list[float], flops: float | None, moved: float | None) -> Timing:
    return Timing(candidate=seconds, baseline=seconds, units=1, unit="token", converged=True, flops=flops, bytes=moved)


def test_the_slower_of_bytes_and_flops_makes_the_floor() -> None:
    assert floor_seconds(0, 540e6, CEILINGS) == pytest.approx(540e6 / 20e9)
    assert floor_seconds(40e9, 540e6, CEILINGS) == pytest.approx(40e9 / 0.2e12)  # at the rate of the fastest type
    assert floor_seconds(0, 2**17, CEILINGS) == pytest.approx(2**17 / 100e9)  # stays in a cache


@given(amounts, amounts, tables)
def test_a_machine_at_its_ceilings_is_believed(flops: float, moved: float, ceilings: Ceilings) -> None:
    honest = max(moved / max(ceilings.bandwidth.values()), flops / ceilings.matrix_rate)
    real = max(floor_seconds(flops, moved, ceilings), honest)
    assert implausible(timing([real], flops, moved), ceilings) is None


@given(st.floats(1e3, 1e12), st.floats(1e3, 1e12), tables)
def test_an_answer_from_a_cache_is_not(flops: float, moved: float, ceilings: Ceilings) -> None:
    cheat = floor_seconds(flops, moved, ceilings) / 10
    assert (implausible(timing([cheat], flops, moved), ceilings) or "").startswith("implausible")


@given(amounts, amounts, st.integers(0, 29), tables)
def test_more_work_never_has_a_lower_floor_within_one_size(
    flops: float, more: float, power: int, ceilings: Ceilings
) -> None:
    assert floor_seconds(flops + more, 2.0**power, ceilings) >= floor_seconds(flops, 2.0**power, ceilings)


def test_the_median_is_judged_and_the_edge_believed() -> None:
    floor = floor_seconds(0, 540e6, CEILINGS)
    assert implausible(timing([floor], 0, 540e6), CEILINGS) is None
    assert implausible(timing([floor * 0.999], 0, 540e6), CEILINGS) is not None
    assert implausible(timing([1e-9, floor, floor], 0, 540e6), CEILINGS) is None


def test_on_this_machine_honest_work_is_believed_and_a_cached_answer_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Margins of a hundredfold: a load on the machine slows the honest side, and can't slow the other enough."""
    monkeypatch.setattr(ceilings, "SIZES", (2**16, 2**20, 2**24))
    monkeypatch.setattr(ceilings, "MATRIX_ORDERS", (256, 512))
    measured = ceilings.measure_ceilings("cpu", threads=1, seconds=0.3)
    layer, x = torch.nn.Linear(2048, 2048), torch.ones(64, 2048)
    answer = layer(x)
    with torch.inference_mode():
        work = count_work(lambda: layer(x))
        honest = [clock(lambda: layer(x), "cpu") for _ in range(5)]
        cached = [clock(lambda: answer, "cpu") for _ in range(5)]
    assert implausible(timing(honest, work.flops, work.bytes), measured) is None
    assert implausible(timing(cached, work.flops, work.bytes), measured) is not None


def test_what_was_not_counted_is_not_judged() -> None:
    assert implausible(timing([1e-9], None, None), CEILINGS) is None
    assert implausible(timing([], 1e12, 1e12), CEILINGS) is None


def test_the_reason_has_all_figures() -> None:
    reason = implausible(timing([12e-6] * 3, 0.27e9, 540e6), CEILINGS)
    assert reason == (
        "implausible: median 12 us, but 540 MB at 20 GB/s and 270 MFLOP at 200 GFLOP/s take at least 27 ms"
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 s"), (1.5e-9, "1.5 ns"), (12e-6, "12 us"), (0.27, "270 ms"), (2, "2 s"), (3e12, "3 Ts")]
)
def test_quantities_for_people(value: float, text: str) -> None:
    assert quantity(value, "s") == text
