"""What a training holds whatever the batch: weights, gradients and the optimizer's state."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from bench.contract import Limits
from suites.lm_finetuning.task import FineTuningTask


def adam_bytes(weight: Tensor) -> float:
    """Two moments of 32 bits for each parameter."""
    return 8.0 * weight.numel()


def held_bytes(model: Any, trained: Iterable[Tensor], state: Callable[[Tensor], float] = adam_bytes) -> float:
    """Bytes that are alive when the optimizer moves the weights: all weights, and for those that train a gradient of
    32 bits, a copy of 32 bits where the weight has 16, and the optimizer's state (bytes, by weight)."""
    held = float(sum(weight.numel() * weight.element_size() for weight in model.parameters()))
    for weight in trained:
        copies = 1 if weight.element_size() == 4 else 2
        held += 4 * copies * weight.numel() + state(weight)
    return held


def sampled(model: Any, count: int) -> list[Tensor]:
    """All weights outside of the blocks, and those of the `count` largest blocks: the most that trains at a time."""
    blocks = sorted(model.get_decoder().layers, key=lambda block: -sum(w.numel() for w in block.parameters()))
    asleep = {id(weight) for block in blocks[count:] for weight in block.parameters()}
    return [weight for weight in model.parameters() if id(weight) not in asleep]


def too_much(task: FineTuningTask, limits: Limits, held: float) -> str | None:
    """Why this can't meet the limit on training memory, or None if it may: activations come on top."""
    allowed = limits.result.get("training_memory_ratio")
    if allowed is None or held <= allowed * task.full_memory:
        return None
    share = held / task.full_memory
    return f"weights, gradients and optimizer state alone take {share:.0%} of full fine-tuning's training memory"
