"""The rank that a limit on shipped parameters leaves to updates of low rank."""

from collections.abc import Sequence

from bench.contract import Limits
from suites.lm_finetuning.lora import decoder_linears
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import unsupported


def unmet(task: FineTuningTask, limits: Limits, extra: int = 0) -> str | None:
    """Why updates of low rank can't be had, or None if they can. extra: parameters besides B A per unit of rank."""
    if reason := unsupported(task, ["adapt"]):
        return reason
    if "shipped_ratio" in limits.result and rank_for(task, limits, 1, extra) < 1:
        return "not even rank 1 on the queries alone fits the limit on shipped parameters"
    return None


def targets_for(task: FineTuningTask, limits: Limits, extra: int = 0) -> list[str]:
    """The layers that get an update: all linears of the blocks, or the queries and values where rank 1 on all of them
    is more than may be shipped, or the queries alone."""
    every = decoder_linears(task.model)
    for kinds in ((), ("q_proj", "v_proj"), ("q_proj",)):
        chosen = [name for name in every if not kinds or name.endswith(kinds)]
        if _allowed(task, limits) >= per_rank(task, chosen) + extra:
            return chosen
    return []


def rank_for(task: FineTuningTask, limits: Limits, wanted: int, extra: int = 0) -> int:
    """The largest rank up to `wanted` that may be shipped on `targets_for`; 0 if none."""
    chosen = targets_for(task, limits, extra)
    return min(wanted, int(_allowed(task, limits) // (per_rank(task, chosen) + extra))) if chosen else 0


def per_rank(task: FineTuningTask, layers: Sequence[str]) -> int:
    """Parameters of B A per unit of rank, over these layers."""
    return sum(sum(task.model.get_submodule(name).weight.shape) for name in layers)


def _allowed(task: FineTuningTask, limits: Limits) -> float:
    return limits.result.get("shipped_ratio", 1.0) * sum(parameter.numel() for parameter in task.model.parameters())
