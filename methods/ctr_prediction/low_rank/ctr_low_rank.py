"""Unified Low-rank Compression Framework for Click-through Rate Prediction (Yu et al., 2024),
https://arxiv.org/abs/2405.18146."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods.ctr_prediction._parts import copied, largest_share, layers, lookups, tables
from methods.ctr_prediction._recovery import recover
from methods.ctr_prediction._thin import ThinTable, hollow, rank_at, thin_layer, thinned_layers
from suites.ctr_prediction.task import ClickTask


@dataclass(frozen=True)
class CTRLowRank(Method[ClickTask]):
    """Tables and layers are cut to the principal components of what they give, over training rows, not of what they
    hold: y becomes U U'(y - mean) + mean. Of a field's table it is the entries that are looked up, as often as they
    are; of a layer of the perceptron its outputs. A layer becomes two, U'(W x + b) and the way back, with an activation
    put between; the first layer stays whole. Then all is trained on.

    rows: of the statistics. between: whether there is an activation between. whole_first: whether the first layer stays
    whole. rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="ctr-low-rank",
        title="Low rank by output features",
        paper="Yu et al., 2024. Unified Low-rank Compression Framework for Click-through Rate Prediction",
        url="https://arxiv.org/abs/2405.18146",
        stochastic=True,
        claims=(
            Claim(
                text="Models made smaller have a higher AUC than the model that they come from",
                source="abstract",
                metric="auc",
                paper_value="higher on two academic data sets and an industrial one, with models three to five times "
                "smaller",
                variant="default",
                points=("size-25",),
            ),
            Claim(
                text="They predict faster as well",
                source="abstract",
                metric="predict.throughput.ratio",
                paper_value="faster inference with models three to five times smaller",
                variant="default",
                points=("size-25",),
            ),
            Claim(
                text="To compress what a layer gives is better than to compress its weights",
                source="abstract",
                metric="auc",
                versus="svd",
                variant="default",
            ),
            Claim(
                text="Tensor decompositions lose AUC",
                source="abstract",
                metric="auc",
                versus="tensor-train",
                variant="default",
            ),
        ),
        differences=(
            "Ranks are what the limit leaves, the same share everywhere; the paper takes 64 of 400 and 2 of 16.",
            "At 10 % the first layer can't stay whole, and is factored too.",
            "Tables of fewer than 64 entries and first-order weights, which have no rank to lose, stay.",
            "A component has the sign by which its mean is above zero, as the activation cuts what is below.",
            "Statistics are of half of the training rows; the paper's are of all.",
            "Thin tables are not merged into the next layer, as both bases read the vectors elsewhere too.",
        ),
        notes="The variant linear puts no activation between the factors of a layer.",
    )
    variants: ClassVar = {"default": {}, "linear": {"between": False}}
    at_point: ClassVar = {"size-10": {"whole_first": False}}

    rows: int = 36_000
    between: bool = True
    whole_first: bool = True
    rate: float = 1e-2

    def supports(self, task: ClickTask) -> str | None:
        return unmet(task, self.whole_first)

    def build(self, task: ClickTask) -> nn.Module:
        ids = task.calibration(self.rows).ids
        model, share = task.model, fitting_share(task, self.whole_first)
        counts, outputs = lookups(model, ids), output_moments(model, ids)
        thin: dict[str, nn.Module] = {
            name: principal_table(each, counts[name], rank_at(each.weight, share))
            for name, each in tables(model).items()
        }
        for name, each in thinned_layers(model, self.whole_first).items():
            mean, spread = outputs[name]
            basis = principal(mean, spread, rank_at(each.weight, share))
            thin[name] = thin_layer(each, basis, mean, self.between)
        smaller = copied(model, thin)
        recover(task, smaller, self.rate)
        return smaller


def fitting_share(task: ClickTask, whole_first: bool) -> float:
    """Of the numbers, the most that the limits leave."""
    return largest_share(task, partial(hollow, task.model, whole_first=whole_first))


def unmet(task: ClickTask, whole_first: bool) -> str | None:
    """Why not even rank one meets the limits, or None."""
    said = "every table and layer at rank 1" + (" but the first layer, which stays whole" if whole_first else "")
    return task.still_over(hollow(task.model, 0.0, whole_first), said)


def principal(mean: Tensor, spread: Tensor, rank: int) -> Tensor:
    """The first principal components, as orthonormal columns (width, rank) in float64. mean: (width,). spread: the
    covariance (width, width). Each has the sign by which the mean projects above zero."""
    basis = torch.linalg.eigh(spread.double()).eigenvectors.flip(1)[:, :rank]
    return basis * torch.where(mean.double() @ basis < 0, -1.0, 1.0)


def principal_table(table: nn.Embedding, counts: Tensor, rank: int) -> ThinTable:
    """counts: how often each entry is looked up (entries,)."""
    held = table.weight.detach().double()
    weights = counts.double() if counts.sum() else torch.ones_like(counts, dtype=torch.float64)
    shares = weights / weights.sum()
    mean = shares @ held
    centred = held - mean
    basis = principal(mean, centred.T @ (shares[:, None] * centred), rank)
    return ThinTable(centred @ basis, basis, mean)


@torch.no_grad()
def output_moments(model: nn.Module, ids: Tensor, at_once: int = 4_096) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean (out,) and covariance (out, out) of what each layer of the perceptron gives, before its activation, over
    these rows; in float64."""
    given: dict[str, list[Tensor]] = {name: [] for name in layers(model)}
    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _, __, out, kept=kept: kept.append(out.double()))
        for name, kept in given.items()
    ]
    try:
        for part in ids.split(at_once):
            model(part)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: moments(kept) for name, kept in given.items()}


def moments(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and covariance of rows (n, width), summed over the parts."""
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    for part in parts:
        count, total, products = count + len(part), total + part.sum(0), products + part.T @ part
    mean = total / count
    return mean, products / count - torch.outer(mean, mean)
