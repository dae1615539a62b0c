"""Calibration windows, cut to what the task has and the operating point allows."""

import torch
from torch import Tensor

from suites.lm_compression.task import CausalLMTask


def calibration_batch(task: CausalLMTask, samples: int, length: int) -> Tensor:
    """Up to `samples` windows of `length` tokens: LongTensor (windows, length) on the task's device.

    Fewer where the split or the allowance "calibration_tokens" is smaller (the record keeps what was drawn), shorter
    where not even one window would fit. Raises ValueError if there is no calibration text at all.
    """
    available = task.available("calibration")
    length = min(length, available)
    if length <= 0:
        raise ValueError("no calibration tokens are left to draw")
    return torch.cat(list(task.calibration(min(samples, available // length), length)))
