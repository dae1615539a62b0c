"""LoRA-LEGO: LoRAs merged unit by unit (Zhao et al., 2024), https://arxiv.org/abs/2409.16167."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from bench.contract import Card, Claim, Method
from methods.lm_finetuning.merging._adapters import weighted_sum
from suites.lm_finetuning.lora import LoRA
from suites.lm_finetuning.merge import MergingTask
from suites.lm_finetuning.patches import AddedLoRA

_ROUNDS = 30
"""Of k-means; tens of units come to rest in a few."""


@dataclass(frozen=True)
class LoRALego(Method[MergingTask]):
    """Cuts all LoRAs into units (a row of A with its column of B), clusters the units of each layer, and builds a LoRA
    of the clusters' centres.

    A centre is scaled to the mean norm of its units, which averaging shrinks (`norms`); the merged LoRA is scaled by
    sqrt(r / k), r the mean rank of the given ones and k its own, so that its output varies as much as one of theirs
    (`outputs`).

    rank: k, clusters for each layer; None takes r. starts: of k-means, the best is kept.
    """

    card = Card(
        slug="lora-lego",
        title="LoRA-LEGO",
        problems=("merge",),
        paper="Zhao et al., 2024. Merging LoRAs like Playing LEGO: Rank-Wise Clustering",
        url="https://arxiv.org/abs/2409.16167",
        stochastic=True,
        claims=(
            Claim(
                text="One LoRA of clustered units keeps more skill than the average of the models",
                source="abstract: outperforms existing approaches in LoRA merging",
                metric="accuracy",
                versus="weight-averaging:default",
                variant="default",
            ),
            Claim(
                text="It keeps more skill than averaging A and B each by itself, which mixes units that do not "
                "belong together",
                source="abstract: merging that ignores the units brings parameter interference",
                metric="accuracy",
                versus="weight-averaging:factors",
                variant="default",
            ),
            Claim(
                text="It keeps more skill than task arithmetic",
                source="abstract: outperforms existing approaches in LoRA merging",
                metric="accuracy",
                versus="task-arithmetic",
                variant="default",
            ),
            Claim(
                text="It keeps more skill than TIES",
                source="abstract: outperforms existing approaches in LoRA merging",
                metric="accuracy",
                versus="ties",
                variant="default",
            ),
        ),
        differences=(
            (
                "No public code was found, and the abstract leaves the formulas of the dual reweighting open; see "
                "`norms` and `outputs`."
            ),
            "A unit is A's row and B's column end to end; k-means (SciPy, Euclidean) clusters those of each layer.",
            "A LoRA's scale is folded evenly into both factors.",
            "The suite's LoRAs start from random matrices of their own, as those of strangers do.",
        ),
        notes="With as many clusters as units nothing is averaged: without the weight of the output it is then the "
        "exact sum.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "rank-16": {"rank": 16},
        "unweighted": {"norms": False, "outputs": False},
    }

    rank: int | None = None
    norms: bool = True
    outputs: bool = True
    starts: int = 4

    def build(self, task: MergingTask) -> AddedLoRA:
        return AddedLoRA(self.merge(list(task.loras.values()), task.seed))

    def merge(self, loras: Sequence[LoRA], seed: int) -> LoRA:
        """The merged LoRA."""
        units = weighted_sum(loras, 1.0)
        mean_rank = sum(len(next(iter(lora.a.values()))) for lora in loras) / len(loras)
        rank = self.rank or round(mean_rank)
        a, b = {}, {}
        for name, rows in units.a.items():
            centres = self._centres(torch.cat([rows, units.b[name].T], dim=1), rank, seed)
            a[name], b[name] = centres[:, : rows.shape[1]], centres[:, rows.shape[1] :].T.contiguous()
        return LoRA(a, b, (mean_rank / rank) ** 0.5 if self.outputs else 1.0)

    def _centres(self, units: Tensor, count: int, seed: int) -> Tensor:
        """(units, width) -> (count, width)."""
        centres = []
        labels = clusters(units, count, self.starts, seed)
        for label in labels.unique():
            members = units[labels == label]
            centre = members.mean(0)
            if self.norms and (norm := centre.norm()) > 0:
                centre = centre * (members.norm(dim=1).mean() / norm)
            centres.append(centre)
        return torch.stack(centres)


def clusters(units: Tensor, count: int, starts: int, seed: int) -> Tensor:
    """The cluster of each unit, (units,): k-means from `starts` seeded starts (k-means++), the tightest of them."""
    points = units.double().numpy()
    count = min(count, len(np.unique(points, axis=0)))
    rng = np.random.default_rng(seed)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a cluster that ran empty: there is one fewer then
        for _ in range(starts):
            centres, labels = kmeans2(points, count, iter=_ROUNDS, minit="++", rng=rng)
            found.append((float(((points - centres[labels]) ** 2).sum()), labels))
    return torch.from_numpy(min(found, key=lambda each: each[0])[1])
