"""Control: random search (Li and Talwalkar) in the space of ViT-ResNAS, with its super-net."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.image_classification.architecture_search._evolution import Plan
from methods.image_classification.architecture_search._search import search_and_train, too_large
from suites.image_classification.task import ClassificationTask


@dataclass(frozen=True)
class RandomSearch(Method[ClassificationTask]):
    """The best of nets that are drawn at random within the limit; else as ViT-ResNAS.

    evaluations: as many as the evolution has. nets, share, rate: as of ViT-ResNAS.
    """

    card = Card(
        slug="random-search",
        title="Random architecture search",
        paper="Control: Li and Talwalkar, 2019. Random Search and Reproducibility for Neural Architecture Search",
        url="https://arxiv.org/abs/1902.07638",
        control=True,
        stochastic=True,
        notes="Training, space and super-net are those of ViT-ResNAS.",
    )

    evaluations: int = 60
    nets: int = 4
    share: float = 0.286
    rate: float = 1e-3

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task)

    def build(self, task: ClassificationTask) -> Built:
        return search_and_train(task, self.nets, self.share, Plan(self.evaluations), self.rate)
