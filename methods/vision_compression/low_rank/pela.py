"""PELA: Learning Parameter-Efficient Models with Low-Rank Approximation (Guo et al., 2023),
https://arxiv.org/abs/2310.10700."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from bench.contract import Card, Claim, Method
from methods._techniques.modules import found
from methods.vision_compression._folding import folded
from methods.vision_compression._recovery import recover
from methods.vision_compression.low_rank._ranks import Factored, factored, fitting_share, unmet
from suites._vision.learning import ImageBatch, ImageLearner
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class PELA(Method[CompressionTask]):
    """Every linear layer of a transformer's blocks becomes two thin ones by its singular values. They are trained by
    the labels, to give the features of the dense model after every block, and to stay near: the largest element by
    which their product is away from the dense matrix is drawn towards a small number.

    logits: weight of the squared difference of the logits. perturbation, target: weight of that last term, and the
    number. rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="pela",
        title="PELA",
        paper="Guo et al., 2023. PELA: Learning Parameter-Efficient Models with Low-Rank Approximation",
        url="https://arxiv.org/abs/2310.10700",
        problems=("classify",),
        stochastic=True,
        claims=(
            Claim(
                text="Features of the dense model and small perturbations mend more than truncation leaves",
                source="section 4, ablation",
                metric="top1",
                versus="svd:default",
                points=("size-50", "compute-50"),
            ),
            Claim(
                text="They mend more than plain training of the truncated net",
                source="section 4, ablation",
                metric="top1",
                versus="svd:tuned",
                points=("size-50", "compute-50"),
            ),
            Claim(
                text="Little is lost with a third to two thirds fewer parameters",
                source="abstract",
                metric="top1",
                points=("size-50", "compute-50"),
                relation="same",
                paper_value="about 0.6 points of three vision transformers",
            ),
        ),
        differences=(
            (
                "How thin the layers are is what the limits leave, the same share everywhere; the paper keeps a "
                "half or two thirds."
            ),
            (
                "The weight of the perturbation is that of the authors' Swin, with the target of their DeiT, where "
                "it is off."
            ),
            "The net is judged as it is: it is not tuned to another task afterwards.",
        ),
        notes="`svd` factors the convolutions of the stem besides.",
    )

    logits: float = 1.0
    perturbation: float = 1.0
    target: float = 1e-3
    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        if not isinstance(task.model, VisionTransformer):
            return "it factors the linear layers of transformer blocks, and this base has none"
        return unmet(task, in_blocks(task.model))

    def build(self, task: CompressionTask) -> nn.Module:
        names = in_blocks(task.model)
        model = factored(task.model, names, fitting_share(task, names))
        learner = NearLearner(model, task.model, self.logits, self.perturbation, self.target)
        recover(task, model, self.rate, learner=learner)
        return folded(model)


def in_blocks(model: nn.Module) -> list[str]:
    """Linear layers of the blocks; queries, keys and values are one."""
    return [name for name, each in model.named_modules() if isinstance(each, nn.Linear) and name.startswith("blocks.")]


class NearLearner(ImageLearner):
    """A transformer whose thin layers learn to do what the teacher's layers of the same names do."""

    def __init__(self, model: nn.Module, teacher: nn.Module, logits: float, perturbation: float, target: float) -> None:
        super().__init__(model, 0.0)
        self.teacher, self.references = teacher, (teacher,)
        self.logits, self.perturbation, self.target = logits, perturbation, target

    def loss(self, batch: ImageBatch) -> Tensor:
        inputs = batch.inputs
        with torch.no_grad(), features(self.teacher) as wanted:
            told = self.teacher(inputs)
        with features(self.model) as given:
            logits = self.model(inputs)
        apart = torch.stack([mse_loss(one, other) for one, other in zip(given, wanted, strict=True)]).mean()
        return cross_entropy(logits, batch.labels) + apart + self.logits * mse_loss(logits, told)

    def penalty(self) -> Tensor | None:
        if not self.perturbation:
            return None
        return self.perturbation * perturbation(self.model, self.teacher, self.target)


def perturbation(model: nn.Module, teacher: nn.Module, target: float) -> Tensor:
    """Sum over the thin layers of the squared distance to the target, of the largest element by which the product is
    away from the teacher's matrix."""
    thin: Mapping[str, Factored] = found(model, Factored)
    largest = [
        (each.product() - teacher.get_parameter(f"{name}.weight").detach()).abs().amax() for name, each in thin.items()
    ]
    return (torch.stack(largest) - target).square().sum()


@contextmanager
def features(model: Any) -> Iterator[list[Tensor]]:
    """What each block gives, in the calls within."""
    given: list[Tensor] = []
    hooks = [block.register_forward_hook(lambda _, __, output: given.append(output)) for block in model.blocks]
    try:
        yield given
    finally:
        for hook in hooks:
            hook.remove()
