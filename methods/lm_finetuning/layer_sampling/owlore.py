"""OwLore: outlier-weighed layerwise sampled low-rank projection (Li et al., 2024), https://arxiv.org/abs/2405.18380."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.contract import Built, Card, Claim, Method
from methods._techniques.sampling import inclusion
from methods.lm_finetuning._finetuning import fine_tune, rates_for
from methods.lm_finetuning.layer_sampling._galore import galore_bytes, projected_weights
from methods.lm_finetuning.layer_sampling._learners import ProjectedBlocks
from methods.lm_finetuning.layer_sampling._memory import adam_bytes, held_bytes, most_within, sampled, unmet
from methods.lm_finetuning.layer_sampling._outliers import outlier_shares
from suites.lm_finetuning.adapt import AdaptationTask


@dataclass(frozen=True)
class OwLore(Method[AdaptationTask]):
    """Blocks with more outliers train more often, a few at a time, their matrices by projected gradients.

    A block's score is the share of its weights that stand out: magnitude times norm of the input more than `outlier`
    times the block's mean. Every `period` steps `blocks` of them are drawn, each with a probability in proportion to
    its score. Embedding, head and norms train with plain AdamW, embedding and head all the time.

    by_outliers: False draws all blocks alike. outlier: 13, from the public code. blocks: gamma, 5 of 32 in the
    paper, fewer where the limit on training memory says so.
    period: steps between two draws; the paper's 50 would be one draw in the 40 steps of the operating points, 5 makes
    eight. rank: directions (the public code's; more than a third of this model's width, a sixteenth of the paper's).
    gap: steps of a block between two searches for directions; the public code's, longer than a period, so that
    the directions are found when a block is drawn. rate, rates: see `rates_for`.
    """

    card = Card(
        slug="owlore",
        title="OwLore",
        problems=("adapt",),
        paper="Li et al., 2024. OwLore: Outlier-weighed Layerwise Sampled Low-Rank Projection for LLM Fine-tuning",
        url="https://arxiv.org/abs/2405.18380",
        stochastic=True,
        claims=(
            Claim(
                text="Learns more than full fine-tuning",
                source="abstract: consistently outperforms baseline approaches, including full fine-tuning",
                metric="accuracy",
                versus="full-fine-tuning",
                paper_value="up to 1.1 % more accuracy on commonsense reasoning, 3 % on MMLU",
            ),
            Claim(
                text="Learns more than LISA, which draws all blocks alike and trains them whole",
                source="abstract: outperforms baseline approaches; LISA is the one that it extends",
                metric="accuracy",
                versus="lisa:default",
            ),
            Claim(
                text="Learns more than GaLore, which projects the gradients of all blocks",
                source="abstract: outperforms baseline approaches; GaLore is the projection that it uses",
                metric="accuracy",
                versus="galore",
            ),
            Claim(
                text="Blocks with more outliers are worth training more often",
                source="abstract: assigns higher sampling probabilities to layers with more outliers",
                metric="accuracy",
                versus="owlore:uniform",
            ),
            Claim(
                text="Needs less training memory than GaLore, which projects the gradients of all blocks",
                source="abstract: more memory efficient, LLaMa2-7B in 21 GB",
                metric="training_memory_ratio",
                versus="galore",
            ),
        ),
        differences=(
            (
                "Scores are OWL's (weight times input norm, threshold 13) over the first eighth of the training "
                "examples; the public code reads them from a file."
            ),
            (
                "Blocks are drawn systematically, each with exactly gamma times its share of the scores; the code "
                "draws one after another without replacement, which favours the low ones."
            ),
            "A block's optimizer state and projection are dropped when it is frozen again.",
            (
                "AdamW's epsilon is PyTorch's, 1e-8 after the bias correction; galore_torch has 1e-6 before it, "
                "which damps small gradients."
            ),
            "The projection is found by the eigenvectors of the gradient's Gram matrix, not by an SVD.",
            "Where no weight stands out, all blocks are drawn alike.",
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "uniform": {"by_outliers": False}}

    by_outliers: bool = True
    outlier: float = 13.0
    blocks: int = 5
    period: int = 5
    rank: int = 256
    gap: int = 100
    rate: float = 9e-4
    rates: tuple[float, ...] = (3e-5, 1e-4, 3e-4)

    def supports(self, task: AdaptationTask) -> str | None:
        return unmet(task, lambda: self._at_a_time(task))

    def build(self, task: AdaptationTask) -> Built:
        chances = inclusion(self.scores(task), self._at_a_time(task))

        def start() -> ProjectedBlocks:
            return ProjectedBlocks(task.copied(), chances, self.period, task.seed, rank=self.rank, gap=self.gap)

        return fine_tune(task, start, rates_for(task, self), ProjectedBlocks.changed)

    def scores(self, task: AdaptationTask) -> Tensor:
        """What the blocks are drawn by, (blocks,)."""
        if not self.by_outliers:
            return torch.ones(len(task.model.get_decoder().layers))
        return outlier_shares(task.copied(), task.searching(), self.outlier)

    def _at_a_time(self, task: AdaptationTask) -> int:
        def held(blocks: int) -> float:
            matrices = set(map(id, projected_weights(task.model)))

            def state(weight: Tensor) -> float:
                return galore_bytes(weight, self.rank) if id(weight) in matrices else adam_bytes(weight)

            return held_bytes(task.model, sampled(task.model, blocks), state)

        return most_within(task, self.blocks, held, lambda blocks: blocks - 1)
