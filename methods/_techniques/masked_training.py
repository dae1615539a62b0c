"""What is trained of a pruned model, and how it is put back: every trained form leaves zeros where they are.

A trained form is a parametrisation of the weight (torch.nn.utils.parametrize): while it is there the layer computes
with the adapted weight; removing it writes that same weight down, so the merged model is the trained one to the bit.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Trained = Literal["masklora", "norms-and-biases", "full"]


class MaskedLowRank(nn.Module):
    """MaskLoRA: W + alpha / rank (up down) o kept, rounded once to the type of W.

    kept: bool (out, in), where W may change. down: (rank, in), random; up: (out, rank), zero: as in LoRA, the layer
    starts as it was. Both are float32.
    """

    kept: Tensor

    def __init__(self, kept: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = kept.shape
        bound = 1 / math.sqrt(inputs)
        down = torch.empty(rank, inputs).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down.to(kept.device))
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=kept.device))
        self.scale = alpha / rank
        self.register_buffer("kept", kept)

    def forward(self, weight: Tensor) -> Tensor:
        """weight, (out, in), with its update."""
        update = (self.scale * self.up) @ self.down
        return torch.where(self.kept, update + weight, weight).to(weight.dtype)


class Masked(nn.Module):
    """The whole weight is trained, its zeros are held: W o kept."""

    kept: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, weight: Tensor) -> Tensor:
        """weight: (out, in)."""
        return weight * self.kept


def adapt(
    module: nn.Module,
    kept: Mapping[str, Tensor],
    trained: Trained,
    *,
    rank: int,
    alpha: float,
    generator: torch.Generator,
) -> None:
    """Make that part of a model or of a block trainable, in place, and freeze the rest.

    kept: survivors of each pruned linear layer by its dotted name in `module`. "norms-and-biases": all parameters of
    one dimension, which are just these; "masklora": also updates of low rank of the pruned layers; "full": everything.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(trained == "full" or parameter.ndim == 1)
    for name, mask in kept.items():
        if trained == "masklora":
            form: nn.Module = MaskedLowRank(mask, rank, alpha, generator)
        elif trained == "full":
            form = Masked(mask)
        else:
            continue
        parametrize.register_parametrization(module.get_submodule(name), "weight", form)


def merge(module: nn.Module) -> None:
    """Write the adapted weights down in place of their forms. Nothing is trainable afterwards."""
    for child in list(module.modules()):
        if parametrize.is_parametrized(child):
            parametrize.remove_parametrizations(child, "weight")
    module.requires_grad_(False)


def untied_head(model: Any) -> dict[str, Tensor]:
    """The output head by its dotted name, all of its weights free; nothing if the embeddings use the same matrix."""
    head = model.get_output_embeddings()
    if head.weight is model.get_input_embeddings().weight:
        return {}
    name = next(name for name, module in model.named_modules() if module is head)
    return {name: torch.ones_like(head.weight, dtype=torch.bool)}
