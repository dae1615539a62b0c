"""The problem `merge` on the toy model, with random LoRAs of three tasks."""

from collections.abc import Callable
from typing import Any

import pytest

from suites.lm_finetuning.examples import TASKS
from tests.methods.lm_finetuning.finetuning_toys import random_lora, toy_task


@pytest.fixture
def merge_task() -> Callable[..., Any]:
    def make(**fields: Any) -> Any:
        task = toy_task(problem="merge", **fields)
        task.loras = {name: random_lora(task.model, 4, seed) for seed, name in enumerate(TASKS)}
        return task

    return make
