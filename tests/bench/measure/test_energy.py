# ruff: noqa: N802 (the names are NVML's)
"""Energy by made-up counters, whose joules are known."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bench.contract import Step, Workload
from bench.measure import energy
from bench.measure.energy import NvmlMeter, RaplMeter, energy_pair, meter
from bench.record.nvml import Gpu
from bench.record.schema import Energy
from tests.bench.measure.toys import sides, workload

RANGE = 1_000_000


def domain(root: Path, path: str, name: str, microjoules: int) -> Path:
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in {"name": name, "energy_uj": microjoules, "max_energy_range_uj": RANGE}.items():
        (folder / file).write_text(f"{text}\n")
    return folder / "energy_uj"


def test_packages_and_memory_add_up_and_parts_of_them_do_not(tmp_path: Path) -> None:
    first = domain(tmp_path, "intel-rapl:0", "package-0", 100)
    core = domain(tmp_path, "intel-rapl:0:0", "core", 100)
    dram = domain(tmp_path, "intel-rapl:0:1", "dram", 100)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 100)
    psys = domain(tmp_path, "intel-rapl:2", "psys", 100)
    rapl = RaplMeter.of(tmp_path)
    assert rapl is not None
    start = rapl.joules()
    for file, added in ((first, 1_000), (core, 50_000), (dram, 200), (second, 30), (psys, 70_000)):
        file.write_text(str(100 + added))
    assert rapl.joules() - start == pytest.approx(1_230e-6)


def test_a_counter_that_starts_anew_goes_on_counting(tmp_path: Path) -> None:
    file = domain(tmp_path, "intel-rapl:0", "package-0", RANGE - 10)
    rapl = RaplMeter.of(tmp_path)
    assert rapl is not None
    seen = []
    for value in (5, 400_000, 3, 3):
        file.write_text(str(value))
        seen.append(rapl.joules())
    assert np.diff([0.0, *seen]) * 1e6 == pytest.approx([15, 399_995, RANGE - 399_997, 0])


def test_without_a_counter_there_is_no_meter(tmp_path: Path) -> None:
    assert RaplMeter.of(tmp_path) is None
    domain(tmp_path, "intel-rapl:0", "psys", 1)
    assert RaplMeter.of(tmp_path) is None


def test_one_counter_that_cannot_be_read_takes_the_meter_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    domain(tmp_path, "intel-rapl:0", "package-0", 1)
    locked = domain(tmp_path, "intel-rapl:1", "package-1", 1)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != locked)  # root may read anything
    assert RaplMeter.of(tmp_path) is None


class NoAnswer(Exception):
    """NVML's error."""


class FakeNvml:
    NVMLError = NoAnswer
    millijoules: int | None = 5_000
    mig = 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:
        if self.millijoules is None:
            raise NoAnswer
        return self.millijoules

    def nvmlDeviceGetMigMode(self, handle: object) -> list[int]:
        return [self.mig, 0]


def test_the_gpu_counter_is_in_millijoules() -> None:
    found = NvmlMeter.of(Gpu(FakeNvml(), "handle"))
    assert found is not None
    assert found.joules() == 5


@pytest.mark.parametrize(("millijoules", "mig"), [(None, 0), (5, 1)])
def test_a_gpu_without_a_counter_of_its_own_has_no_meter(millijoules: int | None, mig: int) -> None:
    nvml = FakeNvml()
    nvml.millijoules, nvml.mig = millijoules, mig
    assert NvmlMeter.of(Gpu(nvml, "handle")) is None
    assert NvmlMeter.of(None) is None


class Made:
    """A meter that models turn, and the time that passes with it."""

    source, turn_seconds = "rapl", 10.0

    def __init__(self) -> None:
        self.used = self.now = 0.0

    def joules(self) -> float:
        return self.used


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    counter = Made()
    monkeypatch.setattr(energy, "_now", lambda: counter.now)
    return counter


@dataclass
class Burner:
    """Uses so many joules for each of the 2 tokens of a step, and 1.5 seconds."""

    joules: float
    made: Made
    log: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self, drawn: float) -> None:
        self.made.used += 2 * self.joules
        self.made.now += 1.5
        self.log.append((self.joules, drawn))


def two_steps(rng: np.random.Generator) -> Iterator[Step]:
    drawn = float(rng.random())
    for _ in range(2):
        yield Step("s", "do", (drawn,), units=2)


TOKENS = Workload("w", two_steps, unit="token")


def measured(made: Made, candidate: Burner, baseline: Burner, seconds: float) -> Energy | None:
    with sides(candidate, baseline) as both:
        return energy_pair(TOKENS, *both, seconds=seconds, rng=np.random.default_rng(0), counter=made)


def test_joules_per_unit_of_each_side_by_turns(made: Made) -> None:
    log: list[tuple[float, float]] = []
    found = measured(made, Burner(3.0, made, log), Burner(5.0, made, log), seconds=100)
    assert found is not None
    assert found.candidate == pytest.approx([3.0] * len(found.candidate))
    assert found.baseline == pytest.approx([5.0] * len(found.candidate))
    assert (found.unit, found.source) == ("token", "rapl")
    assert len(found.candidate) == 5  # 24 seconds a pair
    turns = [log[place : place + 8] for place in range(0, len(log), 8)]  # four trials fill a turn
    assert all(len({joules for joules, _ in turn}) == 1 for turn in turns)
    assert len({turn[0][0] for turn in turns[::2]}) == 2  # either may be first
    for first, second in zip(turns[::2], turns[1::2], strict=True):
        assert [drawn for _, drawn in first] == [drawn for _, drawn in second]
        assert first[0][0] != second[0][0]


def test_a_counter_that_does_not_move_is_no_meter(made: Made) -> None:
    assert measured(made, Burner(0.0, made), Burner(5.0, made), seconds=1) is None


def test_without_a_meter_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "meter", lambda device: None)
    ran: list[int] = []
    act = partial(ran.append, 1)
    with sides(act, act) as both:
        assert energy_pair(workload(), *both, seconds=1, rng=np.random.default_rng(0)) is None
    assert not ran


@pytest.mark.gpu
def test_a_busy_gpu_uses_energy(cuda: str) -> None:
    import torch

    if meter(cuda) is None:
        pytest.skip("this GPU has no counter of energy")
    x = torch.randn(4096, 4096, device=cuda)

    def multiply(times: int) -> None:
        for _ in range(times):
            x @ x

    with sides(partial(multiply, 400), partial(multiply, 100), cuda) as both:
        found = energy_pair(workload(), *both, seconds=1, rng=np.random.default_rng(0), device=cuda)
    assert found is not None
    assert found.source == "nvml"
    assert found.candidate[0] > 2 * found.baseline[0] > 0
