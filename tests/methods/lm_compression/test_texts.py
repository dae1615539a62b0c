"""Calibration windows that begin texts."""

import pytest
import torch

from bench.contract import Limits
from methods.lm_compression._texts import APART, beginnings
from tests.methods.lm_compression.compression_toys import drawn, task_around


@pytest.mark.parametrize("length", [64, 256, 2048])
def test_windows_begin_as_many_texts_within_the_allowance(length: int) -> None:
    task = task_around(None, calibration=range(8 * APART))
    windows = beginnings(task, 3, length)
    step = max(APART, length)
    assert torch.equal(windows, torch.arange(3)[:, None] * step + torch.arange(length))
    assert drawn(task)["calibration_tokens"] == 3 * step
    allowed = Limits(supplies={"calibration_tokens": 2 * step})
    assert len(beginnings(task_around(None, limits=allowed, calibration=range(8 * APART)), 3, length)) == 2
