"""INT2.1 (Chai et al., 2023), https://arxiv.org/abs/2306.08162."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from bench.contract import Card, Claim, Method, OverBudget
from methods._techniques.correction import ThroughPacked, add_corrections
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression._recovery import distillation_loss, next_token_loss, recovery_batches
from methods.lm_compression.quantisation._gptq import Rounding, quantise_blocks, unquantisable
from methods.lm_compression.quantisation._precision import (
    GROUP,
    LADDER,
    Precision,
    blank,
    block_linears,
    borrowing_copy,
    outer_names,
    round_embeddings,
    unmet,
)
from suites._training.fit import fit
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class INT21(Method[CausalLMTask]):
    """Weights at few bits by GPTQ, and beside each linear layer a low-rank correction, trained so that the model's
    next-token distribution comes back to that of the float model (LREC): KL divergence plus a share of the usual loss.

    The training never holds the float weights of what it trains (EMEF): a product with packed weights keeps only them
    for the backward pass, which widens them again, one layer at a time. The corrections stay beside the packed weights,
    at 16 bits. Bits are the most of rtn's and gptq's ladder that leave room for them.

    bits: fixed for all matrices, whatever the limit. rank: of the corrections; the paper has 32 on a model of width
    4096, where they add 5 % to the size; on one of width 576 rank 32 would add 1.5 bits a weight, so it is 8 here, and
    32 in a variant with 2 bits. alpha_over_rank: the paper's 128 / 32. loss: "lrec", or "next-token" for the usual
    loss alone, as QLoRA has it. share: of it in "lrec"; the authors' code adds 200 of it to a divergence that is summed
    over 2048 tokens. learning_rate: the authors' 3e-4 is for many more steps; not searched. damping, samples, length:
    as in gptq, with half of its windows, so that the training has time.
    """

    card = Card(
        slug="int2.1",
        title="INT2.1",
        paper="Chai et al., INT2.1: Towards Fine-Tunable Quantized Large Language Models with Error Correction through "
        "Low-Rank Adaptation, 2023, arXiv 2306.08162",
        url="https://arxiv.org/abs/2306.08162",
        stochastic=True,
        claims=(
            Claim(
                text="Low-rank error correction lowers the perplexity at equal bits.",
                source="abstract: error correction restores the performance lost at INT2, INT3, INT4 and INT8",
                metric="word_perplexity",
                versus="gptq",
                paper_value="a working INT2 model of 7B parameters",
            ),
            Claim(
                text="Distillation from the float model corrects more than next-token training of the same low-rank "
                "weights.",
                source="abstract: the correction is made to close the gap between the quantised and the float model",
                metric="word_perplexity",
                versus="int2.1:qlora",
            ),
            Claim(
                text="The corrected model is at most 1.05 times as large as the quantised one.",
                source="abstract: a 1.05 times increase in size, INT2.1 in effect",
                metric="stored_ratio",
                versus="gptq",
                relation="keeps",
                share=0.952,
                paper_value="1.05 times the size",
            ),
        ),
        differences=(
            "The training is the suite's recovery budget (32,768 tokens), not epochs over an instruction set.",
            "Embeddings and head are rounded too, and GPTQ's rows fall back to round-to-nearest, as in `gptq`.",
            "The teacher runs beside the student, so the build holds the float model; the student does not.",
        ),
        notes="The corrections are two small products more in each layer, which decoding pays for.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "qlora": {"loss": "next-token"},
        "w2-rank-32": {"bits": 2, "rank": 32},
        "w4": {"bits": 4},
        "w3": {"bits": 3},
        "w2": {"bits": 2},
    }

    bits: int | None = None
    rank: int = 8
    alpha_over_rank: float = 4.0
    loss: Literal["lrec", "next-token"] = "lrec"
    share: float = 0.1
    learning_rate: float = 5e-4
    damping: float = 0.01
    samples: int = 32
    length: int = 512

    def supports(self, task: CausalLMTask) -> str | None:
        if reason := unquantisable(task.model) or unmet(task, self.bits, GROUP):
            return reason
        if task.limits.result:
            least = task.weigh(self._blank(task, LADDER[-1]))
            if not task.limits.met_by(least):
                return (
                    f"stored_ratio is still {least['stored_ratio']:.3f} with {LADDER[-1].linears} bits and corrections"
                )
        return None

    def build(self, task: CausalLMTask) -> nn.Module:
        precision = self._precision(task)
        candidate = borrowing_copy(task.model)
        round_embeddings(candidate, precision.embeddings, GROUP, clip=True)
        how = Rounding(precision.linears, GROUP, clip=False, damping=self.damping, act_order=False)
        quantise_blocks(candidate, calibration_batch(task, self.samples, self.length), how)
        self._correct(candidate, task)
        head = next(name for name, module in candidate.named_modules() if module is candidate.get_output_embeddings())
        plain = candidate.get_submodule(head)
        candidate.set_submodule(head, ThroughPacked(plain))

        def lrec(ids: Tensor) -> Tensor:
            return distillation_loss(candidate, task.model, ids) + self.share * next_token_loss(candidate, ids)

        def usual(ids: Tensor) -> Tensor:
            return next_token_loss(candidate, ids)

        fit(
            candidate,
            recovery_batches(task),
            lrec if self.loss == "lrec" else usual,
            learning_rate=self.learning_rate,
        )
        candidate.set_submodule(head, plain)
        return candidate.eval().requires_grad_(False)

    def _precision(self, task: CausalLMTask) -> Precision:
        """The first of LADDER that meets the limits with its corrections. Raises OverBudget if none does."""
        if self.bits is not None:
            return Precision(self.bits, self.bits)
        for precision in LADDER:
            figures = task.weigh(self._blank(task, precision))
            if task.limits.met_by(figures):
                return precision
        raise OverBudget("stored_ratio", figures["stored_ratio"], task.limits.result["stored_ratio"])

    def _blank(self, task: CausalLMTask, precision: Precision) -> Any:
        """A candidate of the right size with nothing in it: for weighing."""
        candidate = blank(task.model, precision, GROUP)
        self._correct(candidate, task)
        return candidate.eval()

    def _correct(self, candidate: Any, task: CausalLMTask) -> None:
        dtype = task.model.get_submodule(outer_names(task.model)[0]).weight.dtype
        alpha = self.alpha_over_rank * self.rank
        add_corrections(candidate, block_linears(task.model), self.rank, alpha, dtype, task.seed)
