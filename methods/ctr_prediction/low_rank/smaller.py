"""Control: the same network with shorter vectors and narrower layers, trained from nothing."""

from dataclasses import dataclass

import torch
from torch import nn

from bench.contract import Card, Method
from methods.ctr_prediction._parts import largest_share, layers, tables
from methods.ctr_prediction._recovery import recover
from suites.ctr_prediction.task import ClickTask


@dataclass(frozen=True)
class Smaller(Method[ClickTask]):
    """Vectors and layers are a share of the base's widths, the largest that the limit leaves, and learn from random
    weights for as many passes as others are trained on, which is as many as the base had.

    rate: the largest of the schedule.
    """

    card = Card(
        slug="smaller",
        title="Smaller dimension, retrained",
        paper="Control: the base's kind with shorter vectors and narrower layers",
        control=True,
        stochastic=True,
    )

    rate: float = 3e-2

    def supports(self, task: ClickTask) -> str | None:
        return task.still_over(narrowed(task, 0.0), "vectors and layers of one number")

    def build(self, task: ClickTask) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            model = narrowed(task, largest_share(task, lambda share: narrowed(task, share)))
        model = model.to(task.device)
        recover(task, model, self.rate)
        return model.requires_grad_(True)


def narrowed(task: ClickTask, share: float) -> nn.Module:
    """With that share of each width, one at the least."""
    width = next(iter(tables(task.model).values())).embedding_dim
    hidden = [each.out_features for each in layers(task.model).values()]
    return task.untrained(max(1, int(share * width)), [max(1, int(share * each)) for each in hidden])
