"""The track `merge` on the toy model, with random LoRAs of three tasks."""

from collections.abc import Callable

import pytest

from suites.lm_finetuning.examples import TASKS
from suites.lm_finetuning.task import FineTuningTask
from tests.methods.lm_finetuning.finetuning_toys import random_lora, toy_task


@pytest.fixture
def merge_task() -> Callable[..., FineTuningTask]:
    def make(**fields: object) -> FineTuningTask:
        task = toy_task(track="merge", **fields)
        task.given = {name: random_lora(task.model, 4, seed) for seed, name in enumerate(TASKS)}
        return task

    return make
