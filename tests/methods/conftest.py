"""Tasks on the toy model, weighed as the runner weighs: by serialised bytes and counted FLOPs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.contract.registry import load
from bench.run.worker import Scale
from suites.lm_compression.suite import LMCompression
from suites.lm_compression.task import CausalLMTask


@pytest.fixture
def toy_task() -> Callable[..., CausalLMTask]:
    registry = load(("suites.lm_compression.suite",))
    suite = registry.suite("lm-compression")
    assert isinstance(suite, LMCompression)

    def make(point: str = "size-75", seed: int = 0) -> CausalLMTask:
        task = suite.task(
            scale="tiny",
            base=suite.info.bases["tiny"][0],
            point=registry.point("lm-compression", point),
            seed=seed,
            device="cpu",
        )
        # Steps enough to see what moves.
        task.limits = replace(task.limits, supplies=task.limits.supplies | {"training_tokens": 2048})
        task.weigh = Scale(suite, task, task.model).weigh
        return task

    return make
