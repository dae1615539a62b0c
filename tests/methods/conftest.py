"""Tasks of lm-compression as its suite gives them, weighed as the judge weighs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.contract import Setting
from bench.registry import open_registry
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import task_of_the_suite


@pytest.fixture
def toy_task() -> Callable[..., CausalLMTask]:
    def make(point: str = "size-75", seed: int = 0) -> CausalLMTask:
        at = open_registry().point("lm-compression", point).at("tiny")
        # Steps enough to see what moves.
        limits = replace(at.limits, supplies=at.limits.supplies | {"training_tokens": 2048})
        return task_of_the_suite(Setting("tiny", "random-llama", replace(at, limits=limits), seed))

    return make
