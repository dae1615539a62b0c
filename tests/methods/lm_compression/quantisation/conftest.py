"""Tasks on the toy model in half precision, weighed as the judge weighs."""

from collections.abc import Callable
from typing import Any

import pytest

from bench.contract import Limits, OperatingPoint, Setting
from suites._language.toy import toy_model
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import task_of_the_suite


@pytest.fixture
def toy_task() -> Callable[..., CausalLMTask]:
    def make(model: Any = None, seed: int = 0, **limits: float) -> CausalLMTask:
        model = model if model is not None else toy_model().bfloat16()
        allowed = Limits(result=limits, supplies={"calibration_tokens": 32_768})
        point = OperatingPoint("here", "", "compress", allowed)
        device = next(model.parameters()).device.type
        return task_of_the_suite(Setting("tiny", "random-llama", point, seed, device), model)

    return make
