"""Control: the nearest matrix of low rank (Eckart and Young, 1936)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from bench.contract import Card, Method
from methods.ctr_prediction._parts import copied
from methods.ctr_prediction._recovery import recover
from methods.ctr_prediction._thin import truncated_layers, truncated_tables
from methods.ctr_prediction.low_rank.ctr_low_rank import fitting_share, unmet
from suites.ctr_prediction.task import ClickTask


@dataclass(frozen=True)
class SVD(Method[ClickTask]):
    """Tables and layers become products of two thin ones by the singular values of what they hold, at the ranks of
    ctr-low-rank, and all is trained on.

    between: whether an activation is put between the factors of a layer. whole_first: whether the first layer stays
    whole. rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="svd",
        title="Truncated SVD",
        paper="Control: Eckart and Young, 1936. The approximation of one matrix by another of lower rank",
        control=True,
        stochastic=True,
        notes="The variant activation has ctr-low-rank's activation between the factors: the weights decide all else.",
    )
    variants: ClassVar = {"default": {}, "activation": {"between": True}}
    at_point: ClassVar = {"size-10": {"whole_first": False}}

    between: bool = False
    whole_first: bool = True
    rate: float = 1e-2

    def supports(self, task: ClickTask) -> str | None:
        return unmet(task, self.whole_first)

    def build(self, task: ClickTask) -> nn.Module:
        share = fitting_share(task, self.whole_first)
        thin = {
            **truncated_tables(task.model, share),
            **truncated_layers(task.model, share, self.whole_first, self.between),
        }
        model = copied(task.model, thin)
        recover(task, model, self.rate)
        return model
