"""Energy, where a counter of the hardware can be read: joules per unit of work. Where none can, there is no figure."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from bench.contract import Workload
from bench.measure.side import Side
from bench.record import nvml
from bench.record.nvml import Gpu
from bench.record.schema import Energy

_now = time.perf_counter


class Meter(Protocol):
    """A counter of energy. source: as in the record. turn_seconds: the least time between two readings, for an error of
    the counter's update period of some percent at most."""

    source: str
    turn_seconds: float

    def joules(self) -> float:
        """Energy used since some fixed moment; the device's work that was begun before is done and counted."""


def meter(device: str) -> Meter | None:
    """The meter of a device, or None where none can be read: for a GPU the board's own counter, for a CPU RAPL, that of
    all its packages and their memory.

    Both count what everybody on the device uses, idle or not: RAPL's figure of one thread is that of the whole package.
    """
    return NvmlMeter.of(nvml.gpu(device)) if device.startswith("cuda") else RaplMeter.of()


def energy_pair(
    workload: Workload,
    candidate: Side,
    baseline: Side,
    *,
    seconds: float,
    rng: np.random.Generator,
    device: str = "cpu",
    counter: Meter | None = None,
) -> Energy | None:
    """Joules per unit of work of both sides, by turns in random order, on equal inputs, for about `seconds`.

    A turn is as many trials as the meter needs to be read. counter: in place of the device's own (for tests).
    None: no meter can be read, or it does not move.
    """
    counter = counter or meter(device)
    if counter is None:
        return None
    sides = {"candidate": candidate, "baseline": baseline}
    joules: dict[str, list[float]] = {name: [] for name in sides}
    deadline = _now() + seconds
    while not joules["baseline"] or _now() < deadline:
        seed = int(rng.integers(2**62))
        for name in rng.permutation(list(sides)):
            used = _turn(workload, sides[name], np.random.default_rng(seed), counter)
            if used <= 0:
                return None
            joules[name].append(used)
    return Energy(**joules, unit=workload.unit, source=counter.source)


def _turn(workload: Workload, side: Side, rng: np.random.Generator, counter: Meter) -> float:
    """Joules per unit of trials for at least one turn. A trial's inputs are made ready before it begins, in one go."""
    units = 0.0
    begin, end = counter.joules(), _now() + counter.turn_seconds
    while not units or _now() < end:
        steps = list(workload.trial(rng))
        side.load(steps)
        side.run()
        units += sum(step.units for step in steps)
    return (counter.joules() - begin) / units


@dataclass
class NvmlMeter:
    """The GPU's counter of energy since the driver was loaded (Volta and later), which moves every 20 to 100 ms. The
    device is idle when a side has run."""

    gpu: Gpu
    source: str = "nvml"
    turn_seconds: float = 2.0

    @classmethod
    def of(cls, gpu: Gpu | None) -> "NvmlMeter | None":
        """None where the GPU has no counter, or where it is shared out in slices (MIG)."""
        mig = gpu.ask("MigMode") if gpu is not None else None
        if gpu is None or gpu.ask("TotalEnergyConsumption") is None or (mig is not None and mig[0]):
            return None
        return cls(gpu)

    def joules(self) -> float:
        return float(self.gpu.ask("TotalEnergyConsumption") or 0) / 1e3


class RaplMeter:
    """Running average power limit: counters in microjoules of each package, and of memory where it has one of its own.

    Intel's and AMD's processors both stand under intel-rapl. The counters start anew at max_energy_range_uj, after
    minutes at the earliest; `joules` must be asked more often than that.
    """

    source = "rapl"
    turn_seconds = 0.25  # moves every millisecond

    def __init__(self, domains: list[Path]) -> None:
        self._domains = domains
        self._ranges = [int((domain / "max_energy_range_uj").read_text()) for domain in domains]
        self._last = self._read()
        self._total = 0

    @classmethod
    def of(cls, root: Path = Path("/sys/class/powercap")) -> "RaplMeter | None":
        """None without RAPL, or where any of the counters can't be read: a part would look like the whole."""
        domains = [folder for folder in sorted(root.glob("intel-rapl:*")) if _counts(folder)]
        if not domains or not all(os.access(domain / "energy_uj", os.R_OK) for domain in domains):
            return None
        try:
            return cls(domains)
        except (OSError, ValueError):
            return None

    def joules(self) -> float:
        now = self._read()
        for before, after, whole in zip(self._last, now, self._ranges, strict=True):
            self._total += after - before if after >= before else after - before + whole
        self._last = now
        return self._total / 1e6

    def _read(self) -> list[int]:
        return [int((domain / "energy_uj").read_text()) for domain in self._domains]


def _counts(domain: Path) -> bool:
    """Packages and memory make up the whole: cores lie within a package, psys is the whole machine again."""
    try:
        name = (domain / "name").read_text().strip()
    except OSError:
        return False
    return name.startswith("package") or name == "dram"
