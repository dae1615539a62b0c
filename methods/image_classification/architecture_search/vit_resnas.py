"""Searching for Efficient Multi-Stage Vision Transformers (Liao et al., 2021), https://arxiv.org/abs/2109.00642."""

from dataclasses import dataclass
from typing import ClassVar

from bench.contract import Built, Card, Claim, Method
from methods.image_classification.architecture_search._evolution import Plan
from methods.image_classification.architecture_search._search import search_and_train, too_large
from suites.image_classification.task import ClassificationTask


@dataclass(frozen=True)
class ViTResNAS(Method[ClassificationTask]):
    """A Vision Transformer of three stages, with a residual reduction of the map between them. Its sizes are searched:
    one super-net holds all nets of a space as parts, and each step trains several of them in one backward pass.
    Evolution then asks for the loss of nets within the limit, with the weights that they share; the best starts anew.

    nets: that share a batch. share: of the passes, for the super-net; the net that is found trains on the others.
    strangers, rounds, parents, mutants, crossings, change: of the evolution; `Plan` says more. rate: of both trainings.
    """

    card = Card(
        slug="vit-resnas",
        title="ViT-ResNAS",
        paper="Liao, Karaman and Sze, 2021. Searching for Efficient Multi-Stage Vision Transformers",
        url="https://arxiv.org/abs/2109.00642",
        stochastic=True,
        claims=(
            Claim(
                text="At the same cost the net that is found is better than a Vision Transformer of one resolution",
                source="abstract; table of results",
                metric="top1",
                versus="vit",
                points=("macs-12m",),
                variant="default",
                paper_value="ImageNet: 82.4 with 4.5 G multiply-adds against DeiT-S's 79.8 with 4.6 G",
            ),
            Claim(
                text="Several nets in one step train the shared weights more efficiently than one",
                source="abstract",
                metric="top1",
                versus="vit-resnas:one-net",
                points=("macs-12m",),
                variant="default",
            ),
        ),
        differences=(
            "The super-net's passes are part of the budget, in the paper's proportion.",
            "60 nets are asked, not 2,000, and for their loss, as few images tell accuracies apart too coarsely.",
            "Nets are cut out of the super-net, not masked, which is the same and cheaper.",
            (
                "Maps are half as large as the paper's, with two blocks a stage at the most, and tokens come from "
                "convolutions."
            ),
            "No distillation, and no class token: the mean of the tokens is classified.",
        ),
    )
    variants: ClassVar = {"default": {}, "one-net": {"nets": 1}}

    nets: int = 4
    share: float = 0.286
    strangers: int = 20
    rounds: int = 4
    parents: int = 10
    mutants: int = 5
    crossings: int = 5
    change: float = 0.3
    rate: float = 1e-3

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task)

    def build(self, task: ClassificationTask) -> Built:
        plan = Plan(self.strangers, self.rounds, self.parents, self.mutants, self.crossings, self.change)
        return search_and_train(task, self.nets, self.share, plan, self.rate)
