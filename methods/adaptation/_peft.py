"""What the methods that peft makes share: a start drawn from the seed, the training, the merging."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from methods._finetuning import fine_tune
from methods.adaptation._rank import within_memory
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.training import Learner


def adapted(model: Any, config: Any, seed: int) -> Any:
    """`model` with the adapters of a peft config, all else frozen; what is random in them is drawn from the seed."""
    from peft import get_peft_model

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def tune(
    task: FineTuningTask,
    begin: Callable[[int], Any],
    rank: int,
    rates: Sequence[float],
    learner: Callable[[Any], Learner] = Learner,
) -> Tuned:
    """Fine-tune the adapted model that begin(rank) gives, with a smaller rank where the limit on training memory asks
    for it."""
    begun: dict[int, Any] = {}  # decompositions take long: made once, copied for every trial

    def start(rank: int) -> Learner:
        if rank not in begun:
            begun[rank] = begin(rank)
        return learner(copy.deepcopy(begun[rank]))

    fitted = within_memory(task, rank, start)
    return fine_tune(task, lambda: start(fitted), rates, lambda found: (merged(found.model), trained(found.model)))


def merged(model: Any) -> Any:
    """A plain model of the base's kind: a copy of the peft model with the updates in its weights."""
    return copy.deepcopy(model).merge_and_unload().eval().requires_grad_(False)


def trained(model: Any) -> Mapping[str, Tensor]:
    """The adapters' tensors by name, as copies."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
