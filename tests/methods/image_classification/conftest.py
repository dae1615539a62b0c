"""Tasks of image-classification as its suite gives them, weighed as the judge weighs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.contract import Setting
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run.weigh import Scale
from suites.image_classification.task import ClassificationTask

Make = Callable[..., ClassificationTask]


@pytest.fixture
def classification() -> Make:
    def make(point: str = "macs-12m", seed: int = 0, passes: int = 1_000, **result: float) -> ClassificationTask:
        suite = open_registry(plugins=False).suite("image-classification")
        at = suite.points[point].at("tiny")
        at = replace(at, limits=replace(at.limits, result={**at.limits.result, **result}))
        problem = load_problem(suite, "classify")
        task = problem.task_at_hand(Setting("tiny", "toy-10", at, seed))
        task.most_passes = passes
        task.weigh = Scale(problem, task, {}).weigh
        return task

    return make
