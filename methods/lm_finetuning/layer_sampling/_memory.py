"""What a training holds whatever the batch: weights, gradients and the optimizer's state."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from suites.lm_finetuning.task import BATCH, FineTuningTask

FILLED = 0.98
"""Part of the allowed memory that is planned for; examples differ in length."""


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


def most_within(task: FineTuningTask, wanted: int, held: Callable[[int], float], cut: Callable[[int], int]) -> int:
    """The largest number up to `wanted` with which training keeps the limit on memory, one example at a time; 0 if
    none does. What an example's activations take is read off full fine-tuning, which has a batch of them.

    held(number): bytes that are alive whatever the batch. cut(number): the next smaller one to try.
    """
    allowed = task.limits.result.get("training_memory_ratio")
    if allowed is None:
        return wanted
    activations = max(0.0, task.full_memory - held_bytes(task.model, task.model.parameters())) / BATCH
    number = wanted
    while number and held(number) + activations > FILLED * allowed * task.full_memory:
        number = cut(number)
    return number


def unmet(task: FineTuningTask, most: Callable[[], int]) -> str | None:
    """Why training of whole weights can't be had here, or None if it can. most: of what is cut to meet the memory."""
    if "shipped_ratio" in task.limits.result:
        return "ships whole weights of the base: the limit on shipped parameters rules that out"
    if not most():
        return "weights, gradients and optimizer state pass the limit on training memory, however few weights train"
    return None
