"""What the harness adds: to the time of a bare script that does the same forward passes, and to the work of a run.

    python tests/perf/test_harness_overhead.py --model smollm2 --passes 20 --rounds 6
    python tests/perf/test_harness_overhead.py --model chain --passes 300       steps of some milliseconds
    python tests/perf/test_harness_overhead.py --runs 6                         whole runs at tiny scale

Steps: each way in fresh processes by turns, in random order, on the same inputs: candidate and baseline are two copies
of the model, each put through `passes` inputs. bare: a plain loop around time.perf_counter. one process: time_pair with
no limit but the number of trials. servers: the same between two servers, as in a run. The ratio is that of the loops,
with its 95 % interval; the start of a process, the imports, the loading of the model and the start of the servers are
reported apart. processor: the same with processor seconds, of all processes together, which others on the machine
disturb less; and those of the whole harness over those of the passes in it, which no second process blurs.

Runs: `dense` at tiny scale, built and scored: by the parties of a run, forked from one warm process, and by a script
that does it all itself. What a run takes more is its own overhead. Decides no test.
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
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from bench.contract import Problem, Score, Served, Setting, Step, Task, Workload

ROOT = Path(__file__).resolve().parents[2]
BARE, HERE, SERVERS = "bare", "one process", "servers"
Model = Callable[[Any], Any]
Loop = Callable[[Sequence[Any]], float]
"""Puts both sides through the inputs; processor seconds of the passes alone."""


class ServedModel(Served[Model]):
    def forward(self, x: Any) -> Any:
        import torch

        with torch.inference_mode():
            found = self.candidate(x)
            return getattr(found, "logits", found)


class Passes(Problem[Task, None]):
    """For the servers."""

    def task(self, setting: Setting) -> Task:
        return Task(scale=setting.scale, seed=setting.seed, device=setting.device)

    def serve(self, candidate: Model, task: Task) -> ServedModel:
        return ServedModel(candidate, task.device)

    def exam(self, setting: Setting) -> None:
        return None

    def evaluate(self, served: ServedModel, exam: None) -> Sequence[Score]:
        return []

    def workloads(self, exam: None) -> Sequence[Workload]:
        return []


def model_and_inputs(name: str, passes: int) -> tuple[Model, list[Any]]:
    """The model, and the inputs, an array for each pass."""
    import torch

    rng = np.random.default_rng(0)
    if name == "chain":
        from bench.measure.known import Chain

        weight, _ = torch.linalg.qr(torch.randn(64, 64))
        return Chain(weight, 500), [rng.standard_normal((64, 64), dtype=np.float32) for _ in range(passes)]
    from suites._language.base import SMOLLM2, TOY, load_model

    network: Model = load_model("embedded", SMOLLM2, "cpu") if name == "smollm2" else load_model("tiny", TOY, "cpu")
    return network, [rng.integers(250, size=(1, 64)) for _ in range(passes)]


# --- three ways -------------------------------------------------------------------------------------------------------


@contextmanager
def bare(model: Model) -> Iterator[Loop]:
    import torch

    both = [ServedModel(each, "cpu") for each in (model, copy.deepcopy(model))]

    def loop(inputs: Sequence[Any]) -> float:
        times: list[list[float]] = [[], []]
        inside = 0.0
        for x in map(torch.from_numpy, inputs):
            for served, kept in zip(both, times, strict=True):
                start, processor = time.perf_counter(), time.process_time()
                served.forward(x)
                inside += time.process_time() - processor
                kept.append(time.perf_counter() - start)
        return inside

    yield loop


@contextmanager
def one_process(model: Model) -> Iterator[Loop]:
    from bench.measure.side import SideHere

    both = [ServedModel(each, "cpu") for each in (model, copy.deepcopy(model))]
    with SideHere(both[0]) as candidate, SideHere(both[1]) as baseline:
        yield partial(paired, candidate, baseline)


@contextmanager
def servers(model: Model) -> Iterator[Loop]:
    from bench.run import artefact
    from bench.run.local import variables_of
    from bench.run.party import Warm
    from bench.run.pinning import pinned
    from bench.run.servers import serving

    order = replace(dense().order, module="tests.perf.test_harness_overhead", problem="passes", settings={})
    warm = Warm(["transformers.models.llama.modeling_llama"], variables_of(1, offline=True))
    with TemporaryDirectory(prefix="effbench-overhead-") as name:
        folder = Path(name)
        artefact.write(model, folder / artefact.CANDIDATE)
        starter, order = warm.starter(sys.stderr.fileno()), replace(order, folder=name)
        try:
            with (
                serving(order, starter, folder, folder / "one") as candidate,
                serving(order, starter, folder, folder / "other", baseline=True) as baseline,
                pinned([candidate.party.pid, baseline.party.pid], 1),
            ):
                yield partial(paired, candidate.side, baseline.side)
        finally:
            warm.close()


WAYS = {BARE: bare, HERE: one_process, SERVERS: servers}


@dataclass
class Metered:
    """A side that adds up the processor seconds of what it runs."""

    side: Any
    inside: float = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.side, name)

    def run(self) -> Any:
        found = self.side.run()
        self.inside += found.processor
        return found


def paired(candidate: Any, baseline: Any, inputs: Sequence[Any]) -> float:
    from bench.measure.paired import time_pair
    from bench.measure.throttle import Throttle

    fresh = iter(inputs)

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        yield Step("pass", "forward", (next(fresh),))

    both = Metered(candidate), Metered(baseline)
    workload = Workload("passes", trial, min_trials=len(inputs), max_trials=len(inputs))
    rng = np.random.default_rng(0)
    series = time_pair(workload, *both, seconds=0, half_width=0, rng=rng, throttle=Throttle("cpu"))["pass"]
    assert len(series.candidate) + series.warm_up + series.dropped == len(inputs)
    return sum(each.inside for each in both)


def child(way: str, name: str, passes: int, started: float) -> None:
    """One process: prints its seconds as JSON."""
    begun = time.time()
    import torch

    from bench.run.tree import usage

    torch.set_num_threads(1)
    imported = time.time()
    model, inputs = model_and_inputs(name, passes)
    loaded = time.time()
    with WAYS[way](model) as loop:
        loop(inputs[:2])
        ready = time.time()
        start, processor = time.perf_counter(), usage(os.getpid()).processor_seconds
        inside = loop(inputs)
        seconds = {
            "loop": time.perf_counter() - start,
            "processor": usage(os.getpid()).processor_seconds - processor,
            "passes": inside,
        }
    seconds |= {"start": begun - started, "import": imported - begun, "load": loaded - imported}
    print(json.dumps(seconds | {"sides": ready - loaded}))


def run(way: str, model: str, passes: int) -> dict[str, float]:
    found = by_child("--child", way, "--model", model, "--passes", str(passes), "--started", repr(time.time()))
    return {str(name): float(value) for name, value in found.items()}


def by_child(*arguments: str) -> dict[str, Any]:
    """The last line that this file prints as a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(model: str, passes: int, rounds: int, progress: bool = True) -> dict[str, list[dict[str, float]]]:
    rng = np.random.default_rng(0)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for done in range(1, rounds + 1):
        for way in rng.permutation(list(found)):
            found[way].append(run(str(way), model, passes))
        if progress:
            print(f"\rround {done} of {rounds}", end="", file=sys.stderr, flush=True)
    return found


def report(found: dict[str, list[dict[str, float]]], model: str, passes: int) -> str:
    from bench.measure.statistics import ratio_interval

    lines = [f"{model}, 2 x {passes} passes, {len(found[BARE])} rounds; load average {os.getloadavg()[0]:.1f}"]
    for way in (HERE, SERVERS):
        for what in ("loop", "processor"):
            harness, alone = ([each[what] for each in found[of]] for of in (way, BARE))
            ratio = ratio_interval(harness, alone)
            per_step = (np.median(harness) - np.median(alone)) / (2 * passes)
            lines.append(
                f"  {way:<12} {what:<10} / bare {ratio.value:.4f} ({ratio.low:.4f} to {ratio.high:.4f}); median "
                f"{np.median(alone):.3f} s bare, {1e6 * per_step:+.1f} us a pass"
            )
        added = ratio_interval([each["processor"] for each in found[way]], [each["passes"] for each in found[way]])
        lines.append(f"  {way:<12} processor  / its own passes {added.value:.4f} ({added.low:.4f} to {added.high:.4f})")
    for way, rounds in found.items():
        parts = ", ".join(
            f"{part} {np.median([r[part] for r in rounds]):.2f} s" for part in ("start", "import", "load", "sides")
        )
        lines.append(f"  {way:<12} {parts}")
    return "\n".join(lines)


# --- whole runs -------------------------------------------------------------------------------------------------------


def dense(timed: bool = False) -> Any:
    """The run of the baseline at tiny scale."""
    from bench.registry import open_registry
    from bench.run.plan import Selection, make_plan
    from bench.run.runner import planned

    registry = open_registry()
    wanted = Selection("lm-compression", ["dense"], ["unlimited"], (0,), "tiny", threads=1, timed=timed)
    return planned(registry, make_plan(registry, wanted)[0])


def alone() -> None:
    """What a run does, in one process; prints its processor seconds, without imports, as JSON."""
    import importlib

    import torch

    torch.set_num_threads(1)
    each = dense()
    for module in each.info.preload:
        importlib.import_module(module)
    before = time.process_time()
    problem = each.order.load_problem()
    task = problem.task_at_hand(each.order.setting)
    served = problem.serve(each.order.method.method().build(task), task)
    served.figures()
    problem.evaluate(served, problem.exam(each.order.setting))
    print(json.dumps({"processor": time.process_time() - before}))


def runs(rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each: alone, and of each run of a warm process; the first pays for its start."""
    from bench.run.local import LocalExecutor
    from bench.run.runner import run_planned
    from bench.run.tree import usage

    found: dict[str, list[float]] = {"alone": [], "run": [], "first run": []}
    with TemporaryDirectory() as results, LocalExecutor() as executor:
        for number in range(rounds + 1):
            before = usage(os.getpid()).processor_seconds
            (record,) = run_planned([dense()], Path(results), again=True, executor=executor)
            assert record.status == "ok", record.reason
            found["run" if number else "first run"].append(usage(os.getpid()).processor_seconds - before)
    for _ in range(rounds):
        found["alone"].append(float(by_child("--alone")["processor"]))
    return found


def report_of_runs(found: dict[str, list[float]]) -> str:
    median = {name: float(np.median(seconds)) for name, seconds in found.items()}
    return (
        f"dense at tiny scale, {len(found['run'])} runs; load average {os.getloadavg()[0]:.1f}\n"
        f"  {median['run']:.2f} processor seconds a run, {median['alone']:.2f} for its work alone: "
        f"{median['run'] - median['alone']:.2f} of its own; {median['first run']:.2f} for the first"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["smollm2", "toy", "chain"], default="smollm2")
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--runs", type=int, help="whole runs, in place of steps")
    parser.add_argument("--child", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options.child, options.model, options.passes, options.started)
    elif options.alone:
        alone()
    elif options.runs:
        print("\n" + report_of_runs(runs(options.runs)))
    else:
        print("\n" + report(measure(options.model, options.passes, options.rounds), options.model, options.passes))


@pytest.mark.slow
def test_every_way_does_the_passes() -> None:
    found = measure("chain", passes=20, rounds=1, progress=False)
    for way in WAYS:
        assert all(math.isfinite(seconds) for seconds in found[way][0].values())
        assert found[way][0]["loop"] > 0


@pytest.mark.slow
def test_a_run_and_its_work_alone_are_both_done() -> None:
    found = runs(rounds=1)
    assert all(seconds and min(seconds) > 0 for seconds in found.values())


if __name__ == "__main__":
    main()
