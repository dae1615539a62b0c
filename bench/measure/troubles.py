"""What on this machine may spoil a measurement, each with what to do about it."""

import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil

from bench.record import cgroup
from bench.record.device import device_facts

_COARSE = 1e-6
_LITTLE_MEMORY = 2**30
_MUCH_STEAL = 0.02
_MUCH_WAITING = 0.1


@dataclass(frozen=True)
class Trouble:
    """what: the fact, with its figure. remedy: what to do."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Machine:
    """A look at the machine. facts: as bench.record.device gives them. seconds: on the wall, to take differences.

    resolution: seconds, the smallest step of the clock that was seen.
    """

    facts: Mapping[str, str]
    cores: int
    free_memory: int
    seconds: float
    resolution: float

    @classmethod
    def now(cls, device: str) -> "Machine":
        limit = cgroup.memory_limit()
        free = psutil.virtual_memory().available
        if limit is not None:
            free = min(free, limit - psutil.Process().memory_info().rss)
        return cls(device_facts(device), len(cgroup.affinity()), free, time.perf_counter(), _resolution())


def troubles(
    before: Machine, after: Machine, *, threads: int, waited: float = 0.0, throttled: int = 0
) -> Iterator[Trouble]:
    """What was seen between two looks. waited: share of the time that other processes took from the measurement;
    throttled: trials that were lost to throttling."""
    facts = after.facts
    span = after.seconds - before.seconds
    if throttled or _grown(before, after, "thermal_events"):
        yield Trouble("the processor or the GPU was throttled", "cool the machine, or lower its clock and fix it there")
    if _grown(before, after, "throttled_periods"):
        yield Trouble(
            f"the container's quota of {facts.get('cpu_quota', 'some')} processors stopped this process",
            "raise the quota, or use fewer threads (--threads)",
        )
    quota = facts.get("cpu_quota")
    if quota is not None and float(quota) < threads:
        yield Trouble(f"{threads} threads under a quota of {quota} processors", "use fewer threads (--threads)")
    if threads > after.cores:
        yield Trouble(
            f"{threads} threads on {after.cores} processors", "use at most one thread a processor (--threads)"
        )
    if waited > _MUCH_WAITING:
        yield Trouble(
            f"busy machine: other processes took {waited:.0%} of the time (load {facts.get('load_1min', 'unknown')} on "
            f"{after.cores} processors)",
            "stop them"
            if threads == 1
            else "stop them, or run with --threads 1: what one thread waits is taken out of its times",
        )
    if span > 0 and _grown(before, after, "steal_seconds") > _MUCH_STEAL * span * after.cores:
        yield Trouble("the hypervisor gave processor time to other machines", "use a machine of its own, or more time")
    governor = facts.get("governor")
    if governor is not None and governor != "performance":
        yield Trouble(
            f"frequency scaling: governor {governor}", "cpupower frequency-set --governor performance (needs root)"
        )
    if int(facts.get("gpu_other_processes", 0)):
        yield Trouble(
            f"{facts['gpu_other_processes']} other processes compute on the GPU", "wait for them or stop them"
        )
    if after.free_memory < _LITTLE_MEMORY:
        yield Trouble(
            f"only {after.free_memory / 2**20:.0f} MiB of memory are free", "free some, or a run is killed or swaps"
        )
    if after.resolution > _COARSE:
        yield Trouble(f"the clock moves in steps of {after.resolution * 1e6:.1f} us", "choose longer steps")


def _grown(before: Machine, after: Machine, counter: str) -> float:
    return float(after.facts.get(counter, 0)) - float(before.facts.get(counter, 0))


def _resolution() -> float:
    ticks = [time.perf_counter_ns() for _ in range(1000)]
    return min((b - a for a, b in itertools.pairwise(ticks) if b > a), default=0) / 1e9
