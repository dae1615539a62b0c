"""Tasks of ctr-prediction as its suite gives them, weighed as the judge weighs."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.contract import Setting
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run.weigh import Scale
from suites.ctr_prediction.task import ClickTask

Make = Callable[..., ClickTask]


@cache
def reference(point: str, base: str) -> dict[str, float]:
    """Figures of the base."""
    task = at_hand(point, base, 0)
    return {"stored_bytes": Scale(task.problem, task, {}).weigh(task.model)["stored_bytes"]}


def at_hand(point: str, base: str, seed: int, **result: float) -> Any:
    suite = open_registry(plugins=False).suite("ctr-prediction")
    at = suite.points[point].at("tiny")
    at = replace(at, limits=replace(at.limits, result=result or at.limits.result))
    problem = load_problem(suite, at.problem)
    task = problem.task_at_hand(Setting("tiny", base, at, seed))
    task.problem = problem
    return task


@pytest.fixture
def clicks() -> Make:
    def make(
        point: str = "size-25", base: str = "deepfm", seed: int = 0, passes: int = 128, **result: float
    ) -> ClickTask:
        task: ClickTask = at_hand(point, base, seed, **result)
        task.most_passes = passes
        task.weigh = Scale(task.problem, task, reference(point, base)).weigh  # type: ignore[attr-defined]
        return task

    return make


def some_ids(task: ClickTask, count: int = 6) -> Tensor:
    """Of validation rows."""
    return task.validation().ids[:count]


@torch.no_grad()
def same(one: nn.Module, other: nn.Module, ids: Tensor, tolerance: float = 1e-4) -> bool:
    return torch.allclose(one(ids), other(ids), atol=tolerance)
