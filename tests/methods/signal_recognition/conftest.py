"""Tasks of signal-recognition as its suite gives them, weighed as the judge weighs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.contract import Setting
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run.weigh import Scale
from suites.signal_recognition.task import SignalTask

Make = Callable[..., SignalTask]


@pytest.fixture
def recognition() -> Make:
    def make(point: str = "params-12k", seed: int = 0, passes: int = 128, **result: float) -> SignalTask:
        suite = open_registry(plugins=False).suite("signal-recognition")
        at = suite.points[point].at("tiny")
        at = replace(at, limits=replace(at.limits, result={**at.limits.result, **result}))
        problem = load_problem(suite, "recognise")
        task = problem.task_at_hand(Setting("tiny", "generated-tiny", at, seed))
        task.most_passes = passes
        task.weigh = Scale(problem, task, {}).weigh
        return task

    return make
