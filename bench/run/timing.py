"""The timed part of a run: each workload rehearsed, timed in pairs, and held to the rules."""

import numpy as np

from bench.contract import Workload
from bench.measure.energy import energy_pair
from bench.measure.paired import time_pair
from bench.measure.rehearsal import rehearse
from bench.measure.throttle import Throttle
from bench.measure.throughput import measure_throughput
from bench.record.schema import Outcome, Timing
from bench.run.inspection import (
    Inspector,
    check_at_once,
    check_batch,
    check_cores,
    check_replay,
    check_stamps,
    check_streams,
)
from bench.run.order import Order
from bench.run.pinning import pinned
from bench.run.servers import Served
from bench.run.within import say


class Bench:
    """Candidate and baseline, each in a server of its own. outcome: what is measured is filled in there."""

    def __init__(self, candidate: Served, baseline: Served, order: Order, outcome: Outcome) -> None:
        self.candidate, self.baseline, self.order, self.outcome = candidate, baseline, order, outcome
        self.rng = np.random.default_rng([order.seed, 0x7131E])

    def measure(self, workload: Workload) -> None:
        """The timings of a workload, its memory, and its throughput and energy where they can be had.

        Raises RuleBroken if the candidate was not honest.
        """
        say(f"time {workload.name}")
        with pinned([self.candidate.party.pid, self.baseline.party.pid], self.order.threads):
            self._time(workload)
            self._throughput(workload)
            energy = energy_pair(
                workload,
                self.candidate.side,
                self.baseline.side,
                seconds=self.order.timing["seconds"],
                rng=self.rng,
                device=self.order.device,
            )
        self.outcome.energy |= {} if energy is None else {workload.name: energy}

    def _time(self, workload: Workload) -> None:
        side, device = self.candidate.side, self.order.device
        seed = int(self.rng.integers(2**62))
        rehearsal = rehearse(workload, side, seed=seed)
        rehearse(workload, self.baseline.side, seed=seed)
        self.outcome.memory[f"{workload.name}.process_peak_above_start"] = rehearsal.peak_bytes
        if rehearsal.uncounted:
            self.outcome.missing[workload.name] = f"no count is known of {', '.join(rehearsal.uncounted)}"
        self.candidate.begin_timing()
        inspector = Inspector(self.rng, self.candidate)
        side.seen.clear()
        self.baseline.side.seen.clear()
        times = time_pair(
            workload,
            side,
            self.baseline.side,
            seconds=self.order.timing["seconds"],
            half_width=self.order.timing["half_width"],
            rng=self.rng,
            device=device,
            throttle=Throttle(device),
            inspect=inspector.look,
        )
        check_stamps(side.seen, self.baseline.side.seen)
        check_at_once(workload, side, side.seen, self.baseline.side.seen, times, self.rng)
        self.candidate.check()
        check_cores(times, self.order.threads)
        check_streams(times)
        check_replay(workload, side, times, seed, self.rng)
        inspector.finish()
        timings = {}
        for phase, series in times.items():
            work = rehearsal.work.get(phase.removesuffix("-graph"))
            timings[phase] = Timing(
                **vars(series),
                realised=self.order.realised,
                flops=(work and work.flops) or None,
                bytes=(work and work.bytes) or None,
            )
        self.outcome.timings[workload.name] = timings

    def _throughput(self, workload: Workload) -> None:
        if workload.at_batch is None:
            return
        timing, side = self.order.timing, self.candidate.side
        side.seen.clear()
        self.baseline.side.seen.clear()
        found = measure_throughput(
            workload,
            side,
            self.baseline.side,
            memory_limit_bytes=timing.get("memory_bytes"),
            seconds=timing.get("search_seconds", timing["seconds"]),
            rng=self.rng,
            device=self.order.device,
            throttle=Throttle(self.order.device),
        )
        check_stamps(side.seen, self.baseline.side.seen)
        self.candidate.check()
        if found is not None:
            check_batch(workload, found.candidate_batch, side, self.rng)
            self.outcome.throughput[workload.name] = found
