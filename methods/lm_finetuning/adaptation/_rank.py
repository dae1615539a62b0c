"""The rank that the limits on shipped parameters and on training memory leave to updates of low rank."""

from collections.abc import Callable

from suites._language.adapters import decoder_linears
from suites._training.learner import Learner
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.task import FineTuningTask

Count = Callable[[int, int, int], int]
"""(rank, outputs, inputs) -> parameters that are shipped for a layer."""


def two_factors(rank: int, outputs: int, inputs: int) -> int:
    """Of B A: (outputs, rank) and (rank, inputs)."""
    return rank * (outputs + inputs)


def with_singular_values(rank: int, outputs: int, inputs: int) -> int:
    """Of B diag(s) A."""
    return rank * (outputs + inputs + 1)


def fitting(
    task: FineTuningTask, wanted: int, count: Count = two_factors, least: int = 1
) -> tuple[int, list[str]] | None:
    """The largest rank from `least` to `wanted` that may be shipped, and the layers that get it: all linears of the
    blocks, or the queries and values where even `least` on all of them is too much, or the queries alone."""
    allowed = task.limits.result.get("shipped_ratio", float("inf")) * sum(p.numel() for p in task.model.parameters())
    every = decoder_linears(task.model)
    for kinds in ("", ("q_proj", "v_proj"), "q_proj"):
        targets = [name for name in every if name.endswith(kinds)]
        for rank in range(wanted, least - 1, -1):
            if shipped_parameters(task, targets, rank, count) <= allowed:
                return rank, targets
    return None


def shipped_parameters(task: FineTuningTask, targets: list[str], rank: int, count: Count = two_factors) -> int:
    """Over these layers."""
    return sum(count(rank, *task.model.get_submodule(name).weight.shape) for name in targets)


def unmet(task: FineTuningTask, wanted: int, count: Count = two_factors, least: int = 1) -> str | None:
    """Why updates of low rank can't be had, or None if they can."""
    if "shipped_ratio" in task.limits.result and fitting(task, wanted, count, least) is None:
        return f"not even rank {least} on the queries alone fits the limit on shipped parameters"
    return None


def within_memory(task: FineTuningTask, rank: int, start: Callable[[int], Learner[Batch]], least: int = 1) -> int:
    """`rank`, halved (to `least` at the lowest) until a training step over one example at a time meets the limit on
    training memory. start(rank): a learner at its beginning."""
    allowed = task.limits.result.get("training_memory_ratio")
    while allowed is not None and rank > least and task.memory_ratio(Trainer(start(rank), 1)) > allowed:
        rank = max(least, rank // 2)
    return rank


def over_memory(task: FineTuningTask, learner: Callable[[], Learner[Batch]]) -> str | None:
    """Why a method is over the limit on training memory at its smallest, or None. learner(): that, at its beginning."""
    allowed = task.limits.result.get("training_memory_ratio")
    if allowed is None or (needed := task.memory_ratio(Trainer(learner(), 1))) <= allowed:
        return None
    return f"takes {needed:.2f} of full fine-tuning's memory even at its lowest rank"
