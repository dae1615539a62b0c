"""One run, in its own process: build under the limits, weigh, score, time. `python -m bench.run.worker JOB OUT`."""

import ctypes
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.contract import Limits, Method, OverBudget, Suite, Task
from bench.contract.registry import configured, load
from bench.measure.flops import count_flops
from bench.measure.memory import Peak, peak_memory
from bench.measure.paired import time_pair
from bench.measure.size import serialised
from bench.record.schema import Build, Outcome, Samples, Timing
from bench.run.plan import Job


class Altered(RuntimeError):
    """The build changed what it was given."""


def main() -> None:
    job_path, out_path = sys.argv[1:]
    _die_with_parent()
    job = Job(**json.loads(Path(job_path).read_text()))
    outcome = run(job)
    partial = Path(out_path + ".part")
    partial.write_text(outcome.model_dump_json())
    partial.rename(out_path)


def run(job: Job) -> Outcome:
    """Run a job in this process. Whatever the method does wrong becomes a status with a reason."""
    result = Outcome(status="ok")
    try:
        _run(job, result)
    except OverBudget as over:
        result.status, result.reason = "over_budget", str(over)
    except (MemoryError, torch.OutOfMemoryError) as error:
        result.status, result.reason = "out_of_memory", str(error).splitlines()[0] if str(error) else "out of memory"
    except Exception as error:  # a method may fail in any way; the record says how
        traceback.print_exc()
        result.status, result.reason = "failed", f"{type(error).__name__}: {error}"
    return result


def _run(job: Job, result: Outcome) -> None:
    registry = load(tuple(job.modules))
    suite = registry.suite(job.suite)
    point = registry.point(job.suite, job.point)
    method = configured(registry.method(job.method), job.variant)
    result.hyperparameters = {field.name: getattr(method, field.name) for field in fields(method)}  # type: ignore[arg-type]
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
    before = scale.fingerprint()
    candidate = _build(method, task, point.limits, result)
    if scale.fingerprint() != before:
        raise Altered("the build altered the baseline: methods copy the model before they change it")
    result.figures = scale.weigh(candidate) | dict(suite.figures(candidate, task))
    scores = set(suite.info.scores) | set(suite.info.costs)
    for name, allowed in point.limits.result.items():
        if name in result.figures and result.figures[name] > allowed:
            raise OverBudget(name, result.figures[name], allowed)
        if name not in result.figures and name not in scores:
            raise KeyError(f"the limit on {name!r} can't be checked: the suite measures no such figure or score")

    _say("evaluate")
    with peak_memory(job.device) as peak:
        for score in suite.evaluate(candidate, task):
            result.quality[score.name] = Samples(
                samples=list(score.samples),
                weights=None if score.weights is None else list(score.weights),
                aggregate=score.aggregate,
            )
            allowed_score = point.limits.result.get(score.name)
            if allowed_score is not None and score.value > allowed_score:
                raise OverBudget(score.name, score.value, allowed_score)
    result.memory |= _named(peak, "evaluate")

    if not job.timed:
        return
    timing = suite.info.timing[job.scale]
    rng = np.random.default_rng([job.seed, 0x7131E])
    for workload in suite.workloads(task):
        _say(f"time {workload.name}")
        phases = time_pair(
            workload,
            candidate,
            baseline,
            rng=rng,
            device=job.device,
            seconds=timing["seconds"],
            half_width=timing["half_width"],
        )
        result.timings[workload.name] = {
            name: Timing(**vars(times), realised=method.card.speed_realised) for name, times in phases.items()
        }


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

    def fingerprint(self) -> str | None:
        """Digest of the baseline, to see whether somebody changed it."""
        stored = self._suite.stored(self._baseline)
        return None if stored is None else serialised(stored)[1]

    def _absolute(self, candidate: Any) -> dict[str, float]:
        figures: dict[str, float] = {}
        stored = self._suite.stored(candidate)
        if stored is not None:
            figures["stored_bytes"] = float(serialised(stored)[0])
        step = self._suite.counted(candidate, self._task)
        if step is not None:
            figures["flops"] = count_flops(step.run) / step.units
        return figures


def _build(method: Method[Any], task: Task, limits: Limits, result: Outcome) -> Any:
    start = time.perf_counter()
    peak = Peak()
    try:
        with peak_memory(task.device) as peak, _time_limit(limits.build_seconds):
            return method.build(task, limits)
    finally:
        result.build = Build(
            seconds=time.perf_counter() - start, peak_memory_bytes=peak.above_start, drawn=dict(task.drawn)
        )
        result.memory |= _named(peak, "build")
        if sys.exc_info()[0] is None and limits.build_memory_bytes and peak.above_start > limits.build_memory_bytes:
            raise OverBudget("build_memory_bytes", peak.above_start, limits.build_memory_bytes)


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


def _named(peak: Peak, phase: str) -> Mapping[str, float]:
    return {f"{phase}.{name}": value for name, value in (peak.named or {}).items()}


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
