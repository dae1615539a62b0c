"""IRepair (Imtiaz et al., 2025): repair of the blocks that a fault is in, https://arxiv.org/abs/2502.07072."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bench.contract import Card, Claim, Limits, Method
from methods._finetuning import WEIGHT_RATES, rates_for
from methods.repair._repairing import BATCH, repaired
from methods.repair._slices import SliceLearner
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import unsupported


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
        "is chosen again: the method saves no memory. The variant whole-model has all blocks in the slice: training "
        "of all blocks with the KL term. Measured at the embedded scale: repairs more than DPO and disturbs less, not "
        "told apart from training all weights on right answers.",
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
    rate: float = 6e-5
    rates: tuple[float, ...] = WEIGHT_RATES

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        return unsupported(task, ["repair"])

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        return repaired(
            task,
            lambda: self.learner(task),
            rates_for(task, self),
            rejected=self.sensitivity == "fault",
            general=self.kl_weight > 0,
            batch=self.batch,
        )

    def learner(self, task: FineTuningTask) -> SliceLearner:
        """One at its beginning."""
        return SliceLearner(
            task, share=self.share, kl_weight=self.kl_weight, dynamic=self.dynamic, by_fault=self.sensitivity == "fault"
        )
