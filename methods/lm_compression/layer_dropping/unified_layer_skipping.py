"""Unified Layer Skipping (Liu, Meng and Zhou, 2024), https://arxiv.org/abs/2404.06954."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from bench.contract import Card, Claim, Method
from methods.lm_compression._limits import first_met
from methods.lm_compression.layer_dropping._limits import unmet
from methods.lm_compression.layer_dropping._sublayers import Sublayer, blocks, drop, whole_block
from suites.lm_compression.task import CausalLMTask

Spacing = Literal["stride", "even"]


@dataclass(frozen=True)
class UnifiedLayerSkipping(Method[CausalLMTask]):
    """Keeps the first, the last and regularly spaced blocks between them, the same for every token; no data needed.

    The paper starts from a target speed-up s and keeps L/s of L blocks. Here the operating point is given, so the
    largest count that meets it is kept; embeddings and head do not shrink, hence the count is below L times the ratio.

    spacing: which blocks lie between. "stride" is the published rule: every floor(L / (kept - 1))-th block from the
        first on until the count is reached. It leaves one gap before the last block where the floor rounds
        much away, and above half of the blocks, where the stride is 1, that gap is the whole cut. "even" rounds
        i (L - 1) / (kept - 1), i = 0 .. kept - 1, which is balanced at every count.
    """

    card = Card(
        slug="unified-layer-skipping",
        title="Unified Layer Skipping",
        paper="Liu, Meng and Zhou, 2024. Accelerating Inference in Large Language Models with a Unified Layer "
        "Skipping Strategy",
        url="https://arxiv.org/abs/2404.06954",
        claims=(
            Claim(
                text="Skipping blocks in a balanced manner keeps more than leaving out arbitrary ones",
                source="abstract (what earlier methods skip is blamed for their loss of quality)",
                metric="word_perplexity",
                versus="random-block-drop",
            ),
            Claim(
                text="Skipping blocks in a balanced manner keeps more than leaving out contiguous ones",
                source="abstract (contiguous skipping is blamed for the quality loss of earlier methods)",
                metric="word_perplexity",
                versus="layer-truncation",
            ),
            Claim(
                text="The skipped blocks speed decoding up, stably, because every token skips the same ones",
                source="abstract",
                metric="decode-b1.tpot.ratio",
                versus="dense",
            ),
        ),
        differences=(
            "Without the paper's fine-tuning (2 epochs, learning rate 2e-5).",
            (
                "Skipped blocks are removed, so they take no memory, and prompts are read without them too; the "
                "authors' code reads prompts with all blocks."
            ),
            (
                "Where more than half of the blocks stay, the published stride leaves out one run of them before "
                "the last; `even` does not."
            ),
        ),
    )
    variants: ClassVar = {"stride": {"spacing": "stride"}, "even": {"spacing": "even"}}

    spacing: Spacing = "stride"

    def supports(self, task: CausalLMTask) -> str | None:
        count = len(blocks(task.model))
        if count < 2:
            return f"keeps the first and the last block, the model has {count}"
        return unmet(task, self._skipped(count, kept=2))

    def build(self, task: CausalLMTask) -> nn.Module:
        count = len(blocks(task.model))
        gone = first_met(
            task, [1] * (count - 2), lambda n: self._without(task.model, kept=count - n, share_weights=True)
        )
        return self._without(task.model, kept=count - gone)

    def _without(self, model: Any, kept: int, *, share_weights: bool = False) -> Any:
        return drop(model, self._skipped(len(blocks(model)), kept), share_weights=share_weights)

    def _skipped(self, count: int, kept: int) -> list[Sublayer]:
        stay = kept_blocks(count, kept, self.spacing)
        return [sublayer for index in range(count) if index not in stay for sublayer in whole_block(index)]


def kept_blocks(count: int, kept: int, spacing: Spacing) -> set[int]:
    """Indices of the `kept` blocks of `count` that run; 2 <= kept <= count."""
    if not 2 <= kept <= count:
        raise ValueError(f"of {count} blocks, 2 to {count} can be kept, not {kept}")
    if spacing == "even":
        return {round(i * (count - 1) / (kept - 1)) for i in range(kept)}
    stride = count // (kept - 1)
    return {*(i * stride for i in range(kept - 1)), count - 1}
