"""Control: TIES merging (Yadav et al., 2023), https://arxiv.org/abs/2306.01708."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.contract import Card, Method
from suites.lm_finetuning.lora import LoRA, merged
from suites.lm_finetuning.merge import MergingTask
from suites.lm_finetuning.patches import Changed


@dataclass(frozen=True)
class TIES(Method[MergingTask]):
    """Trims small changes, elects a sign for each weight, and averages the changes that have it.

    density: part of each task's changes that is kept, the largest of the whole model. scale: of the merged changes.
    Both are the paper's for the case that nothing can be tuned.
    """

    card = Card(
        slug="ties",
        title="TIES",
        problems=("merge",),
        paper="Control: Yadav et al., 2023. TIES-Merging: Resolving Interference When Merging Models",
        url="https://arxiv.org/abs/2306.01708",
        control=True,
        stochastic=True,
        notes="On the products of the LoRAs' factors, as the paper merges weights and not factors; the result has no "
        "low rank, so that the merged weights themselves are shipped. Signs and averages by peft, which elects a plus "
        "where the changes cancel out. It is random only in what it is given.",
    )

    density: float = 0.2
    scale: float = 1.0

    def build(self, task: MergingTask) -> Changed:
        loras = list(task.loras.values())
        least = [least_kept([change(lora, name) for name in lora.a], self.density) for lora in loras]
        found = {name: self.scale * elected_mean([change(lora, name) for lora in loras], least) for name in loras[0].a}
        model = merged(task.model, found)
        return Changed({f"{name}.weight": model.get_submodule(name).weight.detach() for name in found})


def change(lora: LoRA, name: str) -> Tensor:
    """What the LoRA adds to this layer, float32 (outputs, inputs)."""
    return lora.scale * (lora.b[name].float() @ lora.a[name].float())


def least_kept(changes: Sequence[Tensor], density: float) -> float:
    """The least magnitude among the share `density` of the largest changes of all layers."""
    magnitudes = np.concatenate([each.abs().flatten().numpy() for each in changes])
    first = max(0, len(magnitudes) - max(1, round(density * len(magnitudes))))
    magnitudes.partition(first)  # in place: there are as many as weights in the model
    return float(magnitudes[first])


def elected_mean(changes: Sequence[Tensor], least: Sequence[float]) -> Tensor:
    """One layer's changes, merged. least: the smallest magnitude that each task keeps."""
    from peft.utils.merge_utils import calculate_majority_sign_mask, disjoint_merge

    trimmed = torch.stack([each * (each.abs() >= floor) for each, floor in zip(changes, least, strict=True)])
    return disjoint_merge(trimmed, calculate_majority_sign_mask(trimmed))
