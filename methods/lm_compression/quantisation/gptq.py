"""Control: GPTQ (Frantar et al., 2022), https://arxiv.org/abs/2210.17323."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from bench.contract import Card, Method
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.quantisation._gptq import Rounding, quantise_blocks, unquantisable
from methods.lm_compression.quantisation._precision import GROUP, borrowing_copy, most_bits, round_embeddings, unmet
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class GPTQ(Method[CausalLMTask]):
    """Rounds a layer's weights column by column, with the OBS update: the columns still to come compensate for each
    error, so that the layer's outputs over the calibration set change least, by a Cholesky factor of the inverse of its
    inputs' second moments (the Hessian).

    Packing and the choice of bits are those of `rtn`, and so are the grids, but that ranges are not clipped, as in the
    paper. Token embeddings and head are rounded to nearest, clipped, in both.

    bits: fixed for all matrices, whatever the limit. group: weights of a row that share a 16-bit step and offset
    (8 bits: a row has one step). clip: whether a group's range is drawn in to where the squared error is least.
    damping: part of the mean diagonal of the second moments that is added to the diagonal (the paper's 1 %).
    act_order: columns with the largest inputs first. samples, length: calibration windows and their tokens; the paper
    has 128 x 2048, the operating points allow an eighth of it.
    """

    card = Card(
        slug="gptq",
        title="GPTQ",
        paper="Control: Frantar et al., 2022. GPTQ: Accurate Post-Training Quantization for Generative Pre-trained "
        "Transformers",
        url="https://arxiv.org/abs/2210.17323",
        control=True,
        differences=(
            (
                "A row that GPTQ leaves with a larger error on the calibration set than round-to-nearest takes the "
                "nearest levels."
            ),
            (
                "Embeddings and head, a fifth of this model's bytes, are rounded to nearest; the paper leaves them "
                "at 16 bits."
            ),
            (
                "As in the authors' code by default, columns keep their order (`act-order` sorts them), and a "
                "block's layers are calibrated on the block as it was."
            ),
            "Calibration windows have 512 tokens, not 2048, so that the first token of each weighs more.",
        ),
        notes="The dense model is a dequantised 4-bit one with permuted channels (see `rtn`). Kernels as in `rtn`.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "w8": {"bits": 8},
        "w4": {"bits": 4},
        "w3": {"bits": 3},
        "w2": {"bits": 2},
        "act-order": {"act_order": True},
        "w3-act-order": {"bits": 3, "act_order": True},
    }

    bits: int | None = None
    group: int = GROUP
    clip: bool = False
    damping: float = 0.01
    act_order: bool = False
    samples: int = 64
    length: int = 512

    def supports(self, task: CausalLMTask) -> str | None:
        return unquantisable(task.model) or unmet(task, self.bits, self.group)

    def build(self, task: CausalLMTask) -> nn.Module:
        precision = most_bits(task, self.bits, self.group)
        how = Rounding(precision.linears, self.group, self.clip, self.damping, self.act_order)
        candidate = borrowing_copy(task.model)
        round_embeddings(candidate, precision.embeddings, self.group, clip=True)
        quantise_blocks(candidate, calibration_batch(task, self.samples, self.length), how)
        return candidate.eval()
