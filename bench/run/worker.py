"""One run, in its own process: build under the limits, weigh, score, time. `python -m bench.run.worker FD`.

The order, as bench.run.local writes it, comes in on the standard input; the outcome goes to the descriptor FD.
"""

import ctypes
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.contract import Limits, Method, OverBudget, Suite, Task
from bench.contract.evaluation import lock_evaluation, scoring, unlock_evaluation
from bench.contract.registry import configured, hyperparameters, import_all, load, suite_package
from bench.contract.sources import sources
from bench.measure.flops import count_flops
from bench.measure.memory import Peak, named, peak_memory
from bench.measure.size import resident, serialised
from bench.record.schema import Build, Outcome, Samples
from bench.run.bfloat16 import widen_products
from bench.run.integrity import RuleBroken
from bench.run.integrity.baseline import BaselineGuard
from bench.run.integrity.evaluation import check_refusals
from bench.run.integrity.files import check_untouched, protect
from bench.run.integrity.holdings import check_process, check_tensors
from bench.run.integrity.processes import adopt_orphans, check_alone, note_children_of_others
from bench.run.integrity.results import check_counted
from bench.run.integrity.seal import Seal
from bench.run.plan import Job, method_of
from bench.run.timing import Bench


def main() -> None:
    answer = int(sys.argv[1])
    os.set_inheritable(answer, False)
    order = json.load(sys.stdin)
    if not order["sandboxed"]:  # a sandbox sees to it itself
        _die_with_parent()
    adopt_orphans()
    protect([Path(folder) for folder in order["protected"]])
    widen_products()
    outcome = run(Job(**order["job"]))
    with os.fdopen(answer, "wb") as pipe:
        pipe.write(outcome.model_dump_json().encode())


def run(job: Job) -> Outcome:
    """Run a job in this process. Whatever the method does wrong becomes a status with a reason."""
    result = Outcome(status="ok")
    note_children_of_others()
    try:
        _run(job, result)
        check_refusals()
        check_untouched()
    except OverBudget as over:
        result.status, result.reason = "over_budget", str(over)
    except RuleBroken as broken:
        result.status, result.reason = "failed", str(broken)
    except (MemoryError, torch.OutOfMemoryError) as error:
        result.status, result.reason = "out_of_memory", str(error).splitlines()[0] if str(error) else "out of memory"
    except Exception as error:  # a method may fail in any way; the record says how
        traceback.print_exc()
        result.status, result.reason = "failed", f"{type(error).__name__}: {error}"
    finally:
        unlock_evaluation()
    return result


def _run(job: Job, result: Outcome) -> None:
    suite = load(tuple(job.modules[:1])).suite(job.suite)
    import_all(suite)
    seal = Seal([suite_package(suite)], apart_from=job.modules[1:])
    registry = load(tuple(job.modules))
    suite = registry.suite(job.suite)
    point = registry.point(job.suite, job.point).at(job.scale)
    method = method_of(registry, job)
    result.hyperparameters = hyperparameters(method)
    lock_evaluation(sources(sys.modules[type(method).__module__]) - set(suite.info.folder.rglob("*.py")))
    _seed_everything(job.seed)

    _say("task")
    task = suite.task(scale=job.scale, base=job.base, point=point, seed=job.seed, device=job.device)
    baseline = configured(registry.method(suite.info.baseline), "default").build(task, Limits())
    scale = Scale(suite, task, baseline)
    task.limits, task.weigh = point.limits, scale.weigh
    reason = method.supports(task, point.limits)
    if reason is not None:
        result.status, result.reason = "unsupported", reason
        return

    _say("build")
    guard = BaselineGuard(baseline, suite.stored(baseline))
    candidate = _build(method, suite, task, point.limits, result)
    guard.check()
    seal.check()
    check_alone()
    result.figures = scale.weigh(candidate) | dict(suite.figures(candidate, task))
    check_counted(suite.counted(candidate, task))
    scores = set(suite.info.scores) | set(suite.info.costs)
    point.limits.check_result(result.figures, later=scores)

    _say("evaluate")
    with peak_memory(job.device) as peak, scoring():
        for score in suite.evaluate(candidate, task):
            result.quality[score.name] = Samples(
                samples=list(score.samples),
                weights=None if score.weights is None else list(score.weights),
                aggregate=score.aggregate,
            )
            point.limits.check_result({score.name: score.value}, later=point.limits.result)
    result.memory |= named(peak, "evaluate")
    seal.check()

    if not job.timed:
        return
    bench = Bench(
        candidate=candidate,
        baseline=baseline,
        device=job.device,
        threads=job.threads,
        timing=dict(suite.info.timing[job.scale]),
        realised=method.card.speed_realised,
        seal=seal,
        guard=guard,
        rng=np.random.default_rng([job.seed, 0x7131E]),
    )
    for workload in suite.workloads(task):
        if job.workloads and workload.name not in job.workloads:
            continue
        _say(f"time {workload.name}")
        bench.measure(workload, result)


class Scale:
    """Weighs candidates against the baseline; the method sees the same scale through task.weigh."""

    def __init__(self, suite: Suite[Any], task: Task, baseline: Any) -> None:
        self._suite, self._task, self._baseline = suite, task, baseline

    def weigh(self, candidate: Any) -> dict[str, float]:
        """Stored bytes and counted FLOPs of a candidate, each also as a ratio to the baseline's."""
        figures = self._absolute(candidate)
        for absolute, ratio in (("stored_bytes", "stored_ratio"), ("flops", "flops_ratio")):
            if absolute in figures:
                figures[ratio] = figures[absolute] / self._reference[absolute]
        return figures

    @cached_property
    def _reference(self) -> dict[str, float]:
        return self._absolute(self._baseline)

    def _absolute(self, candidate: Any) -> dict[str, float]:
        figures: dict[str, float] = {}
        stored = self._suite.stored(candidate)
        if stored is not None:
            figures["stored_bytes"] = float(serialised(stored)[0])
        step = self._suite.counted(candidate, self._task)
        if step is not None:
            figures["flops"] = count_flops(step.run) / step.units
        return figures


def _build(method: Method[Any], suite: Suite[Any], task: Task, limits: Limits, result: Outcome) -> Any:
    start = time.perf_counter()
    peak = Peak()
    try:
        with peak_memory(task.device) as peak, _time_limit(limits.build_seconds):
            candidate = method.build(task, limits)
    finally:
        result.build = Build(
            seconds=time.perf_counter() - start, peak_memory_bytes=peak.above_start, drawn=dict(task.drawn)
        )
        result.memory |= named(peak, "build")
    if limits.build_memory_bytes and peak.above_start > limits.build_memory_bytes:
        raise OverBudget("build_memory_bytes", peak.above_start, limits.build_memory_bytes)
    stored = suite.stored(candidate)
    if stored is not None:
        result.memory["weights"] = float(resident(stored))
    check_tensors(candidate, stored)
    check_process(peak.grown, peak.above_start, stored)
    return candidate


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise OverBudget in the main thread once the time is up. A call that never returns to Python is stopped by the
    parent's timeout instead."""
    if seconds is None:
        yield
        return
    start = time.perf_counter()

    def stop(signum: int, frame: object) -> None:
        raise OverBudget("build_seconds", time.perf_counter() - start, seconds)

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # libraries still draw from the global generator
    torch.manual_seed(seed)


def _say(stage: str) -> None:
    print(f"[effbench] {stage}", file=sys.stderr, flush=True)


def _die_with_parent() -> None:
    """Linux: be killed when the runner dies, so that no run outlives it."""
    try:
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        return
    if os.getppid() == 1:
        sys.exit("the runner is gone")


if __name__ == "__main__":
    main()
