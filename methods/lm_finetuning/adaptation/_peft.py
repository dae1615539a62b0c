"""What the methods that peft makes share: the training and the merging."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.contract import Built
from methods.lm_finetuning._finetuning import fine_tune
from methods.lm_finetuning.adaptation._rank import within_memory
from suites._training.learner import Learner
from suites.lm_finetuning.adapt import AdaptationTask
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.patches import Patch


def tune(
    task: AdaptationTask,
    begin: Callable[..., Any],
    rank: int,
    rates: Sequence[float],
    learner: Callable[[Any], Learner[Batch]] = AnswerLearner,
) -> Built:
    """Fine-tune an adapted model, with a smaller rank where the limit on training memory asks for it.

    begin(base, rank=...): the adapted model of a copy of the base, before its first step. It is shipped as it is with
    what was trained, so that it can be begun again.
    """
    begun: dict[int, Any] = {}  # decompositions take long: made once, copied for every trial

    def start(rank: int) -> Learner[Batch]:
        if rank not in begun:
            begun[rank] = begin(task.copied(), rank=rank)
        return learner(copy.deepcopy(begun[rank]))

    fitted = within_memory(task, rank, start)

    def finish(found: Learner[Batch]) -> Patch:
        return BegunAgain(partial(begin, rank=fitted), trained(found.model))

    return fine_tune(task, lambda: start(fitted), rates, finish)


@dataclass(frozen=True)
class BegunAgain(Patch):
    """Adapters in a model that starts as the base is changed by them: by a decomposition, say, which whoever has the
    base finds as well. begin(base): the adapted model of a copy. weights: what was trained of it."""

    begin: Callable[[Any], Any]
    weights: Mapping[str, Tensor]

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return self.weights

    @torch.no_grad()
    def applied(self, base: Any) -> Any:
        model = self.begin(copy.deepcopy(base).requires_grad_(False))
        own = dict(model.named_parameters())
        for name, weight in self.weights.items():
            own[name].copy_(weight)
        return model.merge_and_unload().eval().requires_grad_(False)


def trained(model: Any) -> Mapping[str, Tensor]:
    """The adapters' tensors by name, as copies."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
