"""IRepair (Imtiaz et al., 2025): repair of the blocks that a fault is in, https://arxiv.org/abs/2502.07072."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bench.contract import Built, Card, Claim, Method
from methods.lm_finetuning._finetuning import WEIGHT_RATES, rates_for
from methods.lm_finetuning.repair._repairing import BATCH, repaired
from methods.lm_finetuning.repair._slices import SliceLearner
from suites.lm_finetuning.preferences import Preferences
from suites.lm_finetuning.repair import RepairTask


@dataclass(frozen=True)
class IRepair(Method[RepairTask]):
    """Each step moves only the block that the fault is most in, and holds the model elsewhere.

    The loss of the faulty answers is derived by the weights of all blocks; the block with the largest gradient norm is
    the slice. It alone is updated, by the loss of the right answers and the KL divergence from the faulty model over
    examples of other tasks. The next step finds its slice anew.

    share: of the blocks in the slice, at least one; 0 is the authors' single block. kl_weight: of the divergence, which
    the authors weigh twice as much as the repair; both are in nats per token. dynamic: find the slice at each step, or
    keep one that is found beforehand, by as many faulty answers as an eighth of the tokens holds. sensitivity: gradient
    of the loss over the faulty answers, which takes a pass of its own, or of the repair loss. batch: faults of a step.
    """

    card = Card(
        slug="irepair",
        title="IRepair",
        problems=("repair",),
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
                variant="default",
                paper_value="43.6 % more effective (toxicity, GPT-2 and GPT-Neo of 0.8 to 1.6 B)",
            ),
            Claim(
                text="Disturbs general behaviour less than DPO does",
                source="abstract: 46 % less disruption to general performance than DPO",
                metric="forgetting",
                versus="dpo",
                variant="default",
                paper_value="46 % less",
            ),
            Claim(
                text="Leaves right answers alone more than training all weights does",
                source="abstract: changing a smaller portion of the model has less impact on the overall performance",
                metric="undamaged",
                versus="domain-adaptive-training",
                variant="default",
            ),
            Claim(
                text="A slice found anew at each step repairs more than a fixed one",
                source="abstract: dynamic selection is essential for errors dispersed throughout the model",
                metric="repaired",
                versus="irepair:fixed",
                variant="default",
            ),
        ),
        differences=(
            (
                "The fault is a wrong city in a form, not toxic text: right answers are the repair data, faulty "
                "ones the rejected."
            ),
            (
                "It follows a copy of the authors' training code that others published; the authors' own is no "
                "longer to be had."
            ),
            "AdamW, not RMSprop; the loss is over answers, not over prompts.",
            "The KL divergence is over examples of other tasks; the authors' is over text that the model generated.",
            (
                "Gradients of all blocks are computed to choose the slice, and each block keeps its optimizer "
                "state: no memory is saved."
            ),
        ),
        notes="`repair-sensitivity` chooses by the repair loss, `fifth` takes 20 % of the blocks, `whole-model` "
        "trains all blocks with the KL term.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "fixed": {"dynamic": False},
        "repair-sensitivity": {"sensitivity": "repair"},
        "fifth": {"share": 0.2},
        "whole-model": {"share": 1.0},
        "no-kl": {"kl_weight": 0.0},
    }

    share: float = 0.0
    kl_weight: float = 2.0
    dynamic: bool = True
    sensitivity: Literal["fault", "repair"] = "fault"
    batch: int = BATCH
    rate: float = 2e-4
    rates: tuple[float, ...] = WEIGHT_RATES

    def build(self, task: RepairTask) -> Built:
        faults = self.faults(task)
        return repaired(
            task,
            lambda: self.learner(task, faults),
            rates_for(task, self),
            rejected=self.sensitivity == "fault",
            general=self.kl_weight > 0,
            batch=self.batch,
        )

    def faults(self, task: RepairTask) -> list[Preferences]:
        """What a fixed slice is found by, drawn once; nothing where it is found anew at each step."""
        if self.dynamic:
            return []
        return task.preferences(rejected=self.sensitivity == "fault", general=False, use="search", batch=1)

    def learner(self, task: RepairTask, faults: Sequence[Preferences] = ()) -> SliceLearner:
        """One at its beginning."""
        by_fault = self.sensitivity == "fault"
        learner = SliceLearner(task, share=self.share, kl_weight=self.kl_weight, by_fault=by_fault)
        if faults:
            learner.settle(faults)
        return learner
