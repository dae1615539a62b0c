"""Tasks on the toy model, weighed by the runner's own scale."""

from collections.abc import Callable
from typing import Any

import pytest

from bench.contract import Limits, OperatingPoint
from bench.contract.registry import load
from bench.run.worker import Scale
from suites.lm_compression.task import CausalLMTask


@pytest.fixture
def toy_task() -> Callable[..., CausalLMTask]:
    def make(model: Any = None, seed: int = 0, **limits: float) -> CausalLMTask:
        suite = load(("suites.lm_compression.suite",)).suite("lm-compression")
        point = OperatingPoint("here", "", Limits(result=limits, supplies={"calibration_tokens": 32_768}))
        device = "cpu" if model is None else next(model.parameters()).device.type
        task = suite.task(scale="tiny", base="random-llama", point=point, seed=seed, device=device)
        task.model = model if model is not None else task.model.bfloat16()
        task.weigh = Scale(suite, task, task.model).weigh
        return task

    return make
