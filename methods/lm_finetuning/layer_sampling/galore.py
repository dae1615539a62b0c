"""Control: gradients of low rank (GaLore, Zhao et al., 2024), https://arxiv.org/abs/2403.03507."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, fine_tune, rates_for
from methods.lm_finetuning.layer_sampling._galore import galore_bytes, projected_weights
from methods.lm_finetuning.layer_sampling._learners import Projected
from methods.lm_finetuning.layer_sampling._memory import held_bytes, most_within, unmet
from suites.lm_finetuning.adapt import AdaptationTask


@dataclass(frozen=True)
class GaLore(Method[AdaptationTask]):
    """All matrices of the blocks train, each with AdamW in the leading singular directions of its gradient.

    rank: directions, at most (256 is the paper's for a model of this size, 130M); halved until the limit on training
    memory is met. gap: steps between two searches for directions; the paper has 200 of tens of thousands, here 20, so
    that the 40 steps of the operating points see more than one set. scale: of the steps, times the learning rate
    (the paper's alpha in pre-training). rate, rates: see `rates_for`; times `scale` they are the usual
    ones for weights.
    """

    card = Card(
        slug="galore",
        title="GaLore",
        problems=("adapt",),
        paper="Control: Zhao et al., 2024. GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection",
        url="https://arxiv.org/abs/2403.03507",
        control=True,
        stochastic=True,
        differences=(
            (
                "Only matrices of the blocks train; the paper's scripts train embeddings and norms too, with plain "
                "AdamW, which in a small model takes what the projection saves."
            ),
            "Without updates layer by layer during the backward pass, and without 8-bit moments.",
            (
                "AdamW's epsilon is PyTorch's, 1e-8 after the bias correction; galore_torch has 1e-6 before it, "
                "which damps small gradients."
            ),
            "The projection is found by the eigenvectors of the gradient's Gram matrix, not by an SVD.",
        ),
        notes="The projection is renewed at every 20th step: the time of a training step is that of the others, "
        "that of the build has both.",
    )

    rank: int = 256
    gap: int = 20
    scale: float = 0.25
    rate: float = 1e-3
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: AdaptationTask) -> str | None:
        return unmet(task, lambda: self._rank_within(task))

    def build(self, task: AdaptationTask) -> Built:
        rank = self._rank_within(task)

        def start() -> Projected:
            return Projected(task.copied(), rank, self.scale, self.gap)

        return fine_tune(task, start, rates_for(task, self), Projected.changed)

    def _rank_within(self, task: AdaptationTask) -> int:
        def held(rank: int) -> float:
            return held_bytes(task.model, projected_weights(task.model), lambda weight: galore_bytes(weight, rank))

        return most_within(task, self.rank, held, lambda rank: rank // 2)
