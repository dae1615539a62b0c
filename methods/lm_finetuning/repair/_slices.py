"""Learning by the blocks alone that a loss is most sensitive to."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.learning import AnswerLearner, answer_loss
from suites.lm_finetuning.preferences import Preferences
from suites.lm_finetuning.reading import all_logits
from suites.lm_finetuning.repair import RepairTask


class SliceLearner(AnswerLearner):
    """A model of which a slice learns.

    chosen: numbers of its blocks, None until the first step. settled: they stay; else each step chooses anew. share: of
    the blocks, at least one, in the slice. kl_weight: of the divergence from the task's model. by_fault: chosen by the
    gradients of the loss over the faulty answers, not by those of the repair loss.
    """

    def __init__(self, task: RepairTask, *, share: float, kl_weight: float, by_fault: bool) -> None:
        super().__init__(task.copied())
        self.references = (task.model,)
        self.kl_weight, self.by_fault, self.settled = kl_weight, by_fault, False
        self.blocks = [list(block.parameters()) for block in self.model.get_decoder().layers]
        self.count = max(1, round(share * len(self.blocks)))
        self.chosen: list[int] | None = None
        self._general: list[Batch] = []
        self._free(range(len(self.blocks)))

    def trained(self) -> list[nn.Parameter]:
        """Of all blocks: which of them move is known only when the gradients are there."""
        return [weight for block in self.blocks for weight in block]

    def settle(self, batches: Sequence[Preferences]) -> None:
        """Choose the slice for good, by the gradients over all of these batches together."""
        self._free(range(len(self.blocks)))
        sums = [torch.zeros_like(weight, dtype=torch.float32) for weight in self.trained()]
        for batch in batches:
            for total, gradient in zip(sums, self._gradients(self._sensitive_to(batch)), strict=True):
                total.add_(gradient)
        self.chosen, self.settled = self._most_sensitive(sums), True

    def loss(self, batch: Batch) -> Tensor:
        """The repair loss. A batch without preferences stands for all of them, so that a step can be weighed on it."""
        beside = batch if isinstance(batch, Preferences) else None
        self._general.append(beside.general if beside is not None and beside.general is not None else batch)
        if not self.settled:
            self._free(range(len(self.blocks)))
            if self.by_fault:
                self.chosen = self._most_sensitive(self._gradients(self._sensitive_to(batch)))
        if self.settled or self.by_fault:
            self._free(self.chosen or ())
        return answer_loss(self.model, batch)

    def penalty(self) -> Tensor | None:
        """Choose the slice by the gradients of the repair loss, drop those of the other blocks; the KL term."""
        if not self.by_fault and not self.settled:
            self.chosen = self._most_sensitive([weight.grad for weight in self.trained()])
        assert self.chosen is not None
        self._free(self.chosen)
        general, self._general = self._general, []
        if self.kl_weight == 0:
            return None
        tokens = sum(batch.tokens for batch in general)
        terms = [kl_divergence(self.model, self.references[0], batch) * (batch.tokens / tokens) for batch in general]
        return self.kl_weight * torch.stack(terms).sum()

    def _sensitive_to(self, batch: Batch) -> Batch:
        """What the sensitivity is taken on."""
        rejected = batch.rejected if self.by_fault and isinstance(batch, Preferences) else None
        return batch if rejected is None else rejected

    def _gradients(self, batch: Batch) -> Sequence[Tensor]:
        return torch.autograd.grad(answer_loss(self.model, batch), self.trained())

    def _most_sensitive(self, gradients: Sequence[Tensor | None]) -> list[int]:
        """The slice by the gradients of all weights of all blocks."""
        each = iter(gradients)
        return most_sensitive([[next(each) for _ in block] for block in self.blocks], self.count)

    def _free(self, chosen: Sequence[int]) -> None:
        """Only these blocks have gradients."""
        for number, block in enumerate(self.blocks):
            for weight in block:
                weight.requires_grad_(number in chosen)
                if number not in chosen:
                    weight.grad = None


def most_sensitive(gradients: Sequence[Sequence[Tensor | None]], count: int) -> list[int]:
    """Numbers of the `count` blocks whose gradients have the largest L2 norm, in order."""
    norms = [sum(float(g.float().square().sum()) for g in block if g is not None) for block in gradients]
    return sorted(sorted(range(len(norms)), key=lambda number: -norms[number])[:count])


def kl_divergence(model: Any, reference: Any, batch: Batch) -> Tensor:
    """Mean over the tokens of KL(reference || model) of the next token, nats."""
    with torch.no_grad():
        wanted = log_softmax(all_logits(reference, batch).float(), -1)
    given = log_softmax(all_logits(model, batch).float(), -1)
    return kl_div(given, wanted, reduction="batchmean", log_target=True)
