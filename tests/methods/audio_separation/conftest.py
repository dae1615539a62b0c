"""Tasks of audio-separation as its suite gives them, weighed as the judge weighs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.contract import Setting
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run.weigh import Scale
from suites.audio_separation.task import SeparationTask

Make = Callable[..., SeparationTask]


@pytest.fixture
def separation() -> Make:
    def make(point: str = "params-50k", seed: int = 0, passes: int = 8, **result: float) -> SeparationTask:
        suite = open_registry(plugins=False).suite("audio-separation")
        at = suite.points[point].at("tiny")
        at = replace(at, limits=replace(at.limits, result={**at.limits.result, **result}))
        problem = load_problem(suite, "separate")
        task = problem.task_at_hand(Setting("tiny", "toy-voices", at, seed))
        task.most_passes = passes
        task.weigh = Scale(problem, task, {}).weigh
        return task

    return make
