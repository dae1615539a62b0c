"""Tasks on the toy model, weighed as the runner weighs: by serialised bytes and counted FLOPs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.contract import Setting
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run.weigh import Scale
from suites.lm_compression.task import CausalLMTask


@pytest.fixture
def toy_task() -> Callable[..., CausalLMTask]:
    info = open_registry().suite("lm-compression")
    problem = load_problem(info, "compress")

    def make(point: str = "size-75", seed: int = 0) -> CausalLMTask:
        at = info.points[point].at("tiny")
        # Steps enough to see what moves.
        limits = replace(at.limits, supplies=at.limits.supplies | {"training_tokens": 2048})
        setting = Setting("tiny", info.bases["tiny"][0], replace(at, limits=limits), seed)
        task: CausalLMTask = problem.task_at_hand(setting)
        dense = Scale(problem, task, {}).weigh(task.model)
        task.weigh = Scale(problem, task, {name: dense[name] for name in ("stored_bytes", "flops")}).weigh
        return task

    return make
