"""The timed part of a run: each workload rehearsed, timed in pairs, and held to the rules of bench/run/integrity."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.contract import Workload
from bench.measure.energy import energy_pair
from bench.measure.memory import named
from bench.measure.paired import time_pair
from bench.measure.rehearsal import Rehearsal, rehearse
from bench.measure.throttle import Throttle
from bench.measure.throughput import measure_throughput
from bench.record.schema import Outcome, Timing
from bench.run.integrity.baseline import BaselineGuard
from bench.run.integrity.processes import check_alone
from bench.run.integrity.results import Inspector, check_cores, check_replay, check_streams
from bench.run.integrity.seal import Seal


@dataclass
class Bench:
    """Candidate and baseline, ready to be measured. timing: see SuiteInfo.timing."""

    candidate: Any
    baseline: Any
    device: str
    threads: int
    timing: dict[str, float]
    realised: bool
    seal: Seal
    guard: BaselineGuard
    rng: np.random.Generator

    def measure(self, workload: Workload, result: Outcome) -> None:
        """Fill in the timings of a workload, its memory, and its throughput and energy where they can be had.

        Raises RuleBroken if the candidate was not honest.
        """
        seed = int(self.rng.integers(2**62))
        rehearsal = rehearse(workload, self.candidate, seed=seed, device=self.device)
        result.memory |= named(rehearsal.peak, workload.name)
        result.timings[workload.name] = self._time(workload, rehearsal, seed)
        seconds, pair = self.timing["seconds"], (workload, self.candidate, self.baseline)
        if workload.at_batch is not None:
            throughput = measure_throughput(
                *pair,
                memory_limit_bytes=self.timing.get("memory_bytes"),
                seconds=self.timing.get("search_seconds", seconds),
                rng=self.rng,
                device=self.device,
                throttle=Throttle(self.device),
            )
            result.throughput |= {} if throughput is None else {workload.name: throughput}
        energy = energy_pair(*pair, seconds=seconds, rng=self.rng, device=self.device)
        result.energy |= {} if energy is None else {workload.name: energy}

    def _time(self, workload: Workload, rehearsal: Rehearsal, seed: int) -> dict[str, Timing]:
        inspector = Inspector(self.rng, self.seal, self.device)
        self.seal.check()
        check_alone()
        times = time_pair(
            workload,
            self.candidate,
            self.baseline,
            seconds=self.timing["seconds"],
            half_width=self.timing["half_width"],
            rng=self.rng,
            device=self.device,
            throttle=Throttle(self.device),
            inspect=inspector.look,
        )
        self.seal.check()
        check_alone()
        self.guard.check()
        check_cores(times, self.threads)
        check_streams(times)
        check_replay(workload, self.candidate, times, seed, self.rng, self.device)
        inspector.finish()
        timings = {}
        for phase, series in times.items():
            work = rehearsal.work[phase.removesuffix("-graph")]
            timings[phase] = Timing(
                **vars(series), realised=self.realised, flops=work.flops or None, bytes=work.bytes or None
            )
        return timings
