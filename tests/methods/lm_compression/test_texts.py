"""Calibration windows that begin texts."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from methods.lm_compression._texts import APART, beginnings
from suites.lm_compression.task import CausalLMTask


@pytest.mark.parametrize("length", [64, 256, 2048])
def test_windows_begin_as_many_texts_within_the_allowance(toy_task: Callable[..., CausalLMTask], length: int) -> None:
    task = replace(toy_task(), calibration_ids=list(range(8 * APART)))
    windows = beginnings(task, 3, length)
    step = max(APART, length)
    assert torch.equal(windows, torch.arange(3)[:, None] * step + torch.arange(length))
    assert task.drawn["calibration_tokens"] == 3 * step
    allowed = replace(task.limits, supplies={"calibration_tokens": 2 * step})
    assert len(beginnings(replace(task, limits=allowed, drawn=type(task.drawn)()), 3, length)) == 2
