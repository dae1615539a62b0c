"""LISA: layerwise importance sampled AdamW (Pan et al., 2024), https://arxiv.org/abs/2403.17919."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from bench.contract import Built, Card, Claim, Method
from methods._techniques.sampling import inclusion
from methods.lm_finetuning._finetuning import WEIGHT_RATES, fine_tune, rates_for
from methods.lm_finetuning.layer_sampling._learners import SampledBlocks
from methods.lm_finetuning.layer_sampling._memory import held_bytes, most_within, sampled, unmet
from suites.lm_finetuning.adapt import AdaptationTask


@dataclass(frozen=True)
class LISA(Method[AdaptationTask]):
    """Trains embedding, head and last norm all the time, and a few random blocks that change every `period` steps.

    Blocks that sleep have no gradient, no 32-bit copy and no optimizer state; one that wakes starts with fresh moments.

    blocks: how many train at a time (the paper's gamma, 2 of 32), fewer where the limit on training memory says so.
    period: steps between two draws (K; None: the first draw stays). The public script has 20; the operating points
    leave about 40 steps, of which 20 would make two draws, so 5 keeps it at eight. rate, rates: see `rates_for`.
    """

    card = Card(
        slug="lisa",
        title="LISA",
        problems=("adapt",),
        paper="Pan et al., 2024. LISA: Layerwise Importance Sampling for Memory-Efficient LLM Fine-Tuning",
        url="https://arxiv.org/abs/2403.17919",
        stochastic=True,
        claims=(
            Claim(
                text="Learns more than LoRA where both may use about the same memory",
                source="abstract: surpasses LoRA on downstream tasks with similar or less GPU memory",
                metric="accuracy",
                versus="lora:default",
                variant="default",
                paper_value="MT-Bench 11 % to 37 % above LoRA",
            ),
            Claim(
                text="Learns more than full fine-tuning",
                source="abstract: outperforms full parameter training in a wide range of settings",
                metric="accuracy",
                versus="full-fine-tuning",
                variant="default",
            ),
            Claim(
                text="Needs no more training memory than LoRA",
                source="abstract: memory costs as low as LoRA's",
                metric="training_memory_ratio",
                versus="lora:default",
                relation="same",
                variant="default",
            ),
        ),
        differences=(
            (
                "Exactly gamma blocks are drawn, all alike, as in the public code; the paper's general form gives "
                "each layer a probability of its own."
            ),
            "A block's moments are dropped when it is frozen again; the optimizer of the public code may keep them.",
            "Warm-up and decay run over the whole training, not over a period.",
            "Every weight that trained at any time is shipped.",
        ),
        notes="In a small model the embedding (a fifth of SmolLM2-135M) is most of what trains, so that a quarter "
        "of full fine-tuning's memory is out of reach.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "fixed": {"period": None}}

    blocks: int = 2
    period: int | None = 5
    rate: float = 7e-4
    rates: tuple[float, ...] = WEIGHT_RATES

    def supports(self, task: AdaptationTask) -> str | None:
        return unmet(task, lambda: self._at_a_time(task))

    def build(self, task: AdaptationTask) -> Built:
        scores = torch.ones(len(task.model.get_decoder().layers))
        chances = inclusion(scores, self._at_a_time(task))

        def start() -> SampledBlocks:
            return SampledBlocks(task.copied(), chances, self.period, task.seed)

        return fine_tune(task, start, rates_for(task, self), SampledBlocks.changed)

    def _at_a_time(self, task: AdaptationTask) -> int:
        def held(blocks: int) -> float:
            return held_bytes(task.model, sampled(task.model, blocks))

        return most_within(task, self.blocks, held, lambda blocks: blocks - 1)
