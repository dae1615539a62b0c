"""What the harness adds to the wall time of a bare script that does the same forward passes.

    python tests/perf/test_harness_overhead.py --model smollm2 --passes 20 --rounds 6
    python tests/perf/test_harness_overhead.py --model chain --passes 300       steps of a millisecond

Both run in fresh processes by turns, in random order, on the same inputs: candidate and baseline are two copies of
the model, each put through `passes` inputs. Bare: a plain loop around time.perf_counter. Harness: time_pair with no
limit but the number of trials. The ratio is that of the loops, with its 95 % interval; the start of a process, the
imports and the loading of the model are reported apart. processor: the same with processor seconds, which other
processes on the machine disturb less; and those of the whole harness over those of the passes in it, which no second
process blurs. Decides no test.
"""

import argparse
import copy
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
Pass = Callable[[Any], Any]


def sides_and_inputs(model: str, passes: int) -> tuple[Pass, Pass, list[Any]]:
    """Candidate and baseline, two copies, and the inputs, one for each pass."""
    import torch

    if model == "chain":
        from bench.measure.known import Chain

        weight, _ = torch.linalg.qr(torch.randn(64, 64))
        return Chain(weight, 150), Chain(weight.clone(), 150), [torch.randn(64, 64) for _ in range(passes)]
    from suites._language.base import SMOLLM2, TOY, load_base

    network, _ = load_base("embedded", SMOLLM2, "cpu") if model == "smollm2" else load_base("tiny", TOY, "cpu")
    tokens = [torch.randint(0, 250, (1, 64)) for _ in range(passes)]
    return _forward(network), _forward(copy.deepcopy(network)), tokens


def _forward(network: Any) -> Pass:
    import torch

    def forward(ids: Any) -> Any:
        with torch.inference_mode():
            return network(ids).logits

    return forward


def loop_bare(candidate: Pass, baseline: Pass, inputs: Sequence[Any]) -> None:
    times: dict[str, list[float]] = {"candidate": [], "baseline": []}
    for x in inputs:
        for name, call in (("candidate", candidate), ("baseline", baseline)):
            start = time.perf_counter()
            call(x)
            times[name].append(time.perf_counter() - start)


def loop_harness(candidate: Pass, baseline: Pass, inputs: Sequence[Any]) -> None:
    from bench.contract import Step, Workload
    from bench.measure.paired import time_pair
    from bench.measure.throttle import Throttle

    fresh = iter(x for x in inputs for _ in range(2))

    def trial(call: Pass, rng: np.random.Generator) -> Iterator[Step]:
        yield Step("pass", call, inputs=(next(fresh),))

    workload = Workload("passes", trial, min_trials=len(inputs), max_trials=len(inputs))
    rng = np.random.default_rng(0)
    times = time_pair(workload, candidate, baseline, seconds=0, half_width=0, rng=rng, throttle=Throttle("cpu"))
    series = times["pass"]
    assert len(series.candidate) + series.warm_up + series.dropped == len(inputs)


def child(way: str, model: str, passes: int, started: float) -> None:
    """One process: prints its seconds as JSON."""
    begun = time.time()
    import torch

    import bench.contract

    if way == "harness":
        import bench.measure.paired
        import bench.measure.throttle  # noqa: F401
    torch.set_num_threads(1)
    imported = time.time()
    candidate, baseline, inputs = sides_and_inputs(model, passes)
    loaded = time.time()
    for x in inputs[:2]:
        candidate(x), baseline(x)
    inside = [0.0]

    def metered(call: Pass) -> Pass:
        def run(x: Any) -> Any:
            before = time.process_time()
            result = call(x)
            inside[0] += time.process_time() - before
            return result

        return run

    start, processor = time.perf_counter(), time.process_time()
    (loop_harness if way == "harness" else loop_bare)(metered(candidate), metered(baseline), inputs)
    seconds = {"loop": time.perf_counter() - start, "processor": time.process_time() - processor}
    seconds["passes"] = inside[0]
    seconds |= {"start": begun - started, "import": imported - begun, "load": loaded - imported}
    print(json.dumps(seconds))


def run(way: str, model: str, passes: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", way, "--model", model, "--passes", str(passes)]
    command += ["--started", repr(time.time())]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(model: str, passes: int, rounds: int, progress: bool = True) -> dict[str, list[dict[str, float]]]:
    rng = np.random.default_rng(0)
    found: dict[str, list[dict[str, float]]] = {"bare": [], "harness": []}
    for done in range(1, rounds + 1):
        for way in rng.permutation(list(found)):
            found[way].append(run(str(way), model, passes))
        if progress:
            print(f"\rround {done} of {rounds}", end="", file=sys.stderr, flush=True)
    return found


def report(found: dict[str, list[dict[str, float]]], model: str, passes: int) -> str:
    from bench.measure.statistics import ratio_interval

    lines = [f"{model}, 2 x {passes} passes, {len(found['bare'])} rounds; load average {os.getloadavg()[0]:.1f}"]
    for what in ("loop", "processor"):
        harness, bare = ([each[what] for each in found[way]] for way in ("harness", "bare"))
        ratio = ratio_interval(harness, bare)
        per_step = (np.median(harness) - np.median(bare)) / (2 * passes)
        lines.append(
            f"  {what:<10} harness / bare {ratio.value:.4f} ({ratio.low:.4f} to {ratio.high:.4f}); median "
            f"{np.median(bare):.3f} s bare, {1e6 * per_step:+.1f} us a pass"
        )
    added = ratio_interval(
        [each["processor"] for each in found["harness"]], [each["passes"] for each in found["harness"]]
    )
    lines.append(
        f"  processor  harness / its own passes {added.value:.4f} ({added.low:.4f} to {added.high:.4f}), in one process"
    )
    for way, rounds in found.items():
        parts = ", ".join(
            f"{part} {np.median([r[part] for r in rounds]):.2f} s" for part in ("start", "import", "load")
        )
        lines.append(f"  {way:<10} {parts}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["smollm2", "toy", "chain"], default="smollm2")
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--child", choices=["bare", "harness"], help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options.child, options.model, options.passes, options.started)
        return
    print("\n" + report(measure(options.model, options.passes, options.rounds), options.model, options.passes))


@pytest.mark.slow
def test_both_ways_do_the_passes() -> None:
    found = measure("chain", passes=20, rounds=1, progress=False)
    for way in ("bare", "harness"):
        assert all(math.isfinite(seconds) for seconds in found[way][0].values())
        assert found[way][0]["loop"] > 0


if __name__ == "__main__":
    main()
