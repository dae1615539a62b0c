"""IRepair (Imtiaz et al., 2025): repair of the blocks that a fault is in, https://arxiv.org/abs/2502.07072."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from bench.contract import Card, Claim, Limits, Method
from methods._finetuning import WEIGHT_RATES
from methods.repair._repairing import BATCH, repaired
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.preferences import Preferences
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import unsupported
from suites.lm_finetuning.training import Learner, answer_loss


@dataclass(frozen=True)
class IRepair(Method[FineTuningTask]):
    """Each step moves only the blocks that the repair asks most of, and holds the model elsewhere.

    The loss of the right answers is derived by the weights of all blocks; the blocks with the largest gradient norm are
    the slice. The KL divergence from the faulty model over examples of other tasks is added for these blocks, and they
    alone are updated. The next step finds its slice anew.

    share: of the blocks, at least one, in the slice (the paper: errors are concentrated in the top 20 %). kl_weight: of
    the divergence; the public descriptions do not say it, and 1 puts both terms on the same footing, in nats per token.
    dynamic: find the slice at each step, or keep that of the first. sensitivity: gradient of the repair loss, or of the
    loss over the faulty answers, which takes a pass of its own. batch: faults of a step.
    """

    card = Card(
        slug="irepair",
        suite="lm-finetuning",
        title="IRepair",
        paper="Imtiaz et al., 2025. IRepair: An Intent-Aware Approach to Repair Data-Driven Errors in Large Language "
        "Models",
        url="https://arxiv.org/abs/2502.07072",
        stochastic=True,
        claims=(
            Claim(
                text="Repairs more of the errors than DPO does",
                source="abstract: errors repaired 43.6 % more effectively than by the closest baseline, DPO",
                metric="repaired",
                versus="dpo",
                paper_value="43.6 % more effective (toxicity, GPT-2 and GPT-Neo of 0.8 to 1.6 B)",
            ),
            Claim(
                text="Disturbs general behaviour less than DPO does",
                source="abstract: 46 % less disruption to general performance than DPO",
                metric="forgetting",
                versus="dpo",
                paper_value="46 % less",
            ),
            Claim(
                text="Leaves right answers alone more than training all weights does",
                source="abstract: changing a smaller portion of the model has less impact on the overall performance",
                metric="undamaged",
                versus="domain-adaptive-training",
            ),
            Claim(
                text="A slice found anew at each step repairs more than a fixed one",
                source="abstract: dynamic selection is essential for errors dispersed throughout the model",
                metric="repaired",
                versus="irepair:fixed",
            ),
        ),
        notes="The fault is a wrong city in a form instead of toxic text: right answers are the repair data, faulty "
        "ones the rejected. No usable code is public, and reviews of the paper say that the sensitivity is taken on "
        "the faulty data: that is the variant fault-sensitivity; the default measures the repair loss, whose gradient "
        "a step needs anyhow. The slice is of single blocks, not of neighbouring ones. A block's norm is over all of "
        "its weights, not divided by their number, as blocks are alike. Embeddings, head and last norm never train. "
        "Gradients of all blocks are computed to choose, and the optimizer's state of every block is kept for when it "
        "is chosen again: the method saves no memory. The variant whole-model has all blocks in the slice: training of "
        "all blocks with the KL term.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "fixed": {"dynamic": False},
        "fault-sensitivity": {"sensitivity": "fault"},
        "whole-model": {"share": 1.0},
        "no-kl": {"kl_weight": 0.0},
    }

    share: float = 0.2
    kl_weight: float = 1.0
    dynamic: bool = True
    sensitivity: Literal["repair", "fault"] = "repair"
    batch: int = BATCH
    rates: tuple[float, ...] = WEIGHT_RATES

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        return unsupported(task, ["repair"])

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        return repaired(
            task,
            lambda: SliceLearner(task, self),
            self.rates,
            rejected=self.sensitivity == "fault",
            general=self.kl_weight > 0,
            batch=self.batch,
        )


class SliceLearner(Learner):
    """A model of which a slice learns. chosen: numbers of its blocks, None until the first step."""

    def __init__(self, task: FineTuningTask, method: IRepair) -> None:
        super().__init__(task.copied())
        self.references = (task.model,)
        self.method = method
        self.blocks = [list(block.parameters()) for block in self.model.get_decoder().layers]
        self.count = max(1, round(method.share * len(self.blocks)))
        self.chosen: list[int] | None = None
        self._general: list[Batch] = []
        self._free(range(len(self.blocks)))

    def trained(self) -> list[nn.Parameter]:
        """Of all blocks: which of them move is known only when the gradients are there."""
        return [weight for block in self.blocks for weight in block]

    def loss(self, batch: Batch) -> Tensor:
        """The repair loss. A batch without preferences stands for all of them, so that a step can be weighed on it."""
        beside = batch if isinstance(batch, Preferences) else None
        self._general.append(beside.general if beside is not None and beside.general is not None else batch)
        if not self.method.dynamic and self.chosen is not None:
            self._free(self.chosen)
        else:
            self._free(range(len(self.blocks)))
            if self.method.sensitivity == "fault":
                self._choose_by_fault(beside.rejected if beside is not None and beside.rejected is not None else batch)
        return answer_loss(self.model, batch)

    def penalty(self) -> Tensor | None:
        """Choose the slice by the gradients of the repair loss, drop those of the other blocks; the KL term."""
        if self.method.sensitivity == "repair" and (self.method.dynamic or self.chosen is None):
            self.chosen = most_sensitive([[weight.grad for weight in block] for block in self.blocks], self.count)
        assert self.chosen is not None
        self._free(self.chosen)
        general, self._general = self._general, []
        if self.method.kl_weight == 0:
            return None
        tokens = sum(batch.tokens for batch in general)
        terms = [kl_divergence(self.model, self.references[0], batch) * (batch.tokens / tokens) for batch in general]
        return self.method.kl_weight * torch.stack(terms).sum()

    def _choose_by_fault(self, batch: Batch) -> None:
        gradients = iter(torch.autograd.grad(answer_loss(self.model, batch), self.trained()))
        self.chosen = most_sensitive([[next(gradients) for _ in block] for block in self.blocks], self.count)
        self._free(self.chosen)

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
    call = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "use_cache": False}
    read = batch.attention_mask.bool()
    with torch.no_grad():
        wanted = log_softmax(reference(**call).logits[read].float(), -1)
    given = log_softmax(model(**call).logits[read].float(), -1)
    return kl_div(given, wanted, reduction="batchmean", log_target=True)
