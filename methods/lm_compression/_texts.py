"""Calibration windows of many texts, where a method looks at few of them."""

from torch import Tensor

from methods.lm_compression._calibration import calibration_batch
from suites.lm_compression.task import CausalLMTask

APART = 1024
"""Tokens that one text gives before the next has its turn."""


def beginnings(task: CausalLMTask, samples: int, length: int) -> Tensor:
    """Up to `samples` windows of `length` tokens, each the beginning of another text: LongTensor (windows, length).

    `calibration_batch` gives windows one after the other, so that 16 of 64 tokens are of one text. What lies between
    the windows is drawn too, and counts as drawn. Fewer windows where the allowance or the split ends.
    """
    apart = max(1, APART // length)
    return calibration_batch(task, samples * apart, length)[::apart]
