"""What the methods that peft makes share: the training and the merging."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from methods.lm_finetuning._finetuning import fine_tune
from methods.lm_finetuning.adaptation._rank import within_memory
from suites._training.training import Learner
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask


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
