"""What trains, and how: a few blocks at a time, by projected gradients, or both."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from methods._techniques.sampling import draw
from methods.lm_finetuning.layer_sampling._galore import galore_optimizer, projected_weights
from suites._training.learner import Moment
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.patches import Changed


class SampledBlocks(AnswerLearner):
    """Embedding, head and last norm always train; of the blocks those that are drawn, until the next draw.

    chances: (blocks,) probability of each to be among the drawn ones, they sum up to how many train at a time.
    period: steps between two draws; None: the first stays.
    """

    def __init__(self, model: Any, chances: Tensor, period: int | None, seed: int) -> None:
        super().__init__(model.requires_grad_(True))
        self._chances, self._period = chances, period
        self._generator = torch.Generator().manual_seed(seed)
        self._ever: set[str] = set()
        self._switch()

    def before_step(self, moment: Moment) -> None:
        if self._period is not None and moment.step > 0 and moment.step % self._period == 0:
            self._switch()

    def changed(self) -> Changed:
        """The weights that have trained at any time."""
        return Changed({name: w.detach() for name, w in self.model.named_parameters() if name in self._ever})

    def _switch(self) -> None:
        self.active = draw(self._chances, self._generator)
        for index, block in enumerate(self.model.get_decoder().layers):
            block.requires_grad_(index in self.active)
        self._ever |= {name for name, weight in self.model.named_parameters() if weight.requires_grad}


class ProjectedBlocks(SampledBlocks):
    """Blocks in turns, their matrices by projected gradients."""

    def __init__(self, model: Any, chances: Tensor, period: int, seed: int, *, rank: int, gap: int) -> None:
        self._rank, self._gap = rank, gap
        super().__init__(model, chances, period, seed)

    def optimizer(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        return galore_optimizer(self.model, self.trained(), weights, rank=self._rank, scale=1.0, gap=self._gap)


class Projected(AnswerLearner):
    """The matrices of the blocks train, by projected gradients."""

    def __init__(self, model: Any, rank: int, scale: float, gap: int) -> None:
        super().__init__(model)
        self._rank, self._scale, self._gap = rank, scale, gap
        for weight in projected_weights(model):
            weight.requires_grad_(True)

    def optimizer(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        return galore_optimizer(self.model, self.trained(), weights, rank=self._rank, scale=self._scale, gap=self._gap)

    def changed(self) -> Changed:
        """The weights that train."""
        return Changed({name: w.detach() for name, w in self.model.named_parameters() if w.requires_grad})
