"""No time is believed that the machine cannot reach. Judged here, in the runner's process, where no method has been."""

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from bench.measure.roofline import implausible
from bench.record.ceilings import BrokenCeilings, Ceilings, merged, read_ceilings, store_ceilings
from bench.record.environment import hardware_class
from bench.record.schema import Timing

ROOT = Path(__file__).resolve().parents[2]


def implausible_time(timings: dict[str, dict[str, Timing]], results: Path, device: str, threads: int) -> str | None:
    """What is wrong with the first timing that nobody can have reached, or None.

    The ceilings are the best that were ever measured on this hardware class, here or in the committed results. They are
    measured once where there are none, and again before anything is refused: they may have been taken in a bad moment.
    """
    counted = [timing for phases in timings.values() for timing in phases.values() if timing.flops or timing.bytes]
    if not counted or _first_problem(timings, _known(results, device, threads)) is None:
        return None
    measure(results, device, threads)
    return _first_problem(timings, _known(results, device, threads))


def measure(results: Path, device: str, threads: int) -> Ceilings:
    """Measure the ceilings in a fresh process, with the threads of the runs, and store the best of old and new."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.measure.ceilings", "--json", "--device", device, "--threads", str(threads)],
        env=dict(os.environ) | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the ceilings of this machine could not be measured: {done.stderr[-2000:]}")
    found = Ceilings.model_validate(json.loads(done.stdout))
    _known.cache_clear()
    return store_ceilings(results, found)


@lru_cache(maxsize=8)
def _known(results: Path, device: str, threads: int) -> Ceilings:
    hardware = hardware_class(device, threads)
    known: Ceilings | None = None
    for root in {results, ROOT / "results"}:
        try:
            here = read_ceilings(root, hardware)
        except BrokenCeilings as broken:
            print(f"{broken}; until then it counts for nothing", file=sys.stderr)
            continue
        known = merged(known, here) if here is not None else known
    return known or measure(results, device, threads)


def _first_problem(timings: dict[str, dict[str, Timing]], ceilings: Ceilings) -> str | None:
    for workload, phases in timings.items():
        for phase, timing in phases.items():
            problem = implausible(timing, ceilings)
            if problem is not None:
                return f"{problem} ({workload}, {phase})"
    return None
