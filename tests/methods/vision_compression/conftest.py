"""Tasks of vision-compression as its suite gives them, weighed as the judge weighs."""

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
from bench.run.weigh import ELEMENTWISE, Scale
from suites.vision_compression.task import CompressionTask

Make = Callable[..., CompressionTask]


@cache
def reference(base: str) -> dict[str, float]:
    """Figures of the dense model."""
    task = at_hand("size-50", base, 0)
    scale = Scale(task.problem, task, {})  # type: ignore[attr-defined]
    found = scale.weigh(task.model)
    return {"stored_bytes": found["stored_bytes"], "flops": found["flops"], ELEMENTWISE: 0.0}


def at_hand(point: str, base: str, seed: int, **result: float) -> Any:
    suite = open_registry(plugins=False).suite("vision-compression")
    at = suite.points[point].at("tiny")
    at = replace(at, limits=replace(at.limits, result=result or at.limits.result))
    problem = load_problem(suite, at.problem)
    task = problem.task_at_hand(Setting("tiny", base, at, seed))
    task.problem = problem
    return task


@pytest.fixture
def compression() -> Make:
    def make(
        point: str = "size-50", base: str = "cnn", seed: int = 0, passes: int = 64, **result: float
    ) -> CompressionTask:
        task: CompressionTask = at_hand(point, base, seed, **result)
        task.most_passes = passes
        task.weigh = Scale(task.problem, task, reference(base)).weigh  # type: ignore[attr-defined]
        return task

    return make


def images(task: CompressionTask, count: int = 6) -> Tensor:
    """Validation images as a model gets them."""
    return torch.cat([batch.inputs for batch in task.validation()])[:count]


@torch.no_grad()
def same(one: nn.Module, other: nn.Module, inputs: Tensor, tolerance: float = 1e-4) -> bool:
    return torch.allclose(one(inputs), other(inputs), atol=tolerance)
