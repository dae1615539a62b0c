"""Control: truncated SVD that looks at what the matrices read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from methods._techniques.factored import FactoredLinear, projected, svd, with_layers
from methods._techniques.hessian import Hessian
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.low_rank._limits import uniform_ranks, unmet
from suites._language.adapters import decoder_linears
from suites._language.blocks import walk_blocks
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class ActivationAwareSVD(Method[CausalLMTask]):
    """Truncated SVD of W S in place of W, where S tells what the matrix reads: each layer's output error counts.

    With x the inputs of a layer over calibration text and C = sum of x x^T, the error of a layer W' is
    |(W - W') S|^2 for any S with S S^T = C. The nearest W' of rank k is U U^T W, U the first k left singular vectors of
    W S: no inverse of S is needed. Ranks are those of `svd`. Block by block; each block is calibrated on what the
    blocks before it give once they are factorised.

    scaling: "whitening", S a root of C: the least output error that the rank allows (SVD-LLM without its update by
        fine-tuning). "diagonal", S = diag(mean |x|^0.5): ASVD's heuristic, without its search for ranks.
    samples, length: calibration windows and tokens in each; half of the allowance: the moments of 1536 channels
        settle with 16384 tokens. SVD-LLM takes 256 x 2048.
    """

    card = Card(
        slug="activation-aware-svd",
        title="Activation-aware SVD",
        paper="Control: truncated SVD weighted by the activations, as in SVD-LLM (Wang et al., 2024, arXiv 2403.07378) "
        "and ASVD (Yuan et al., 2023, arXiv 2312.05821)",
        url="https://arxiv.org/abs/2403.07378",
        control=True,
        differences=(
            (
                "SVD-LLM's whitening without its LoRA update; ASVD's scaling (alpha 0.5) without its search for "
                "ranks by sensitivity."
            ),
            "Outputs are projected, which gives the same matrices as the papers' formulas without an inverse of S.",
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "whitening": {"scaling": "whitening"},
        "diagonal": {"scaling": "diagonal"},
    }

    scaling: Literal["whitening", "diagonal"] = "whitening"
    samples: int = 64
    length: int = 256

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task)

    def build(self, task: CausalLMTask) -> nn.Module:
        ranks = uniform_ranks(task)
        windows = calibration_batch(task, self.samples, self.length)
        candidate: nn.Module = with_layers(task.model, {})
        names = {id(candidate.get_submodule(name)): name for name in decoder_linears(candidate)}
        for step in walk_blocks(candidate, windows):
            layers = [layer for layer in step.block.modules() if id(layer) in names and names[id(layer)] in ranks]
            inputs = [Hessian() if self.scaling == "whitening" else Magnitudes() for _ in layers]
            step.observe(layers, [seen.see for seen in inputs])
            for layer, seen in zip(layers, inputs, strict=True):
                name = names[id(layer)]
                candidate.set_submodule(name, nearest_output(layer, seen.matrix, ranks[name]))
        return candidate.eval()


class Magnitudes:
    """Sum of |x| over the tokens seen, in float64; stands in for the second moments where channels are scaled alone."""

    def __init__(self) -> None:
        self._sum = torch.zeros((), dtype=torch.float64)

    def see(self, inputs: Tensor) -> None:
        """inputs: (..., channels)."""
        self._sum = self._sum.to(inputs.device) + inputs.detach().abs().flatten(0, -2).sum(0, dtype=torch.float64)

    @property
    def matrix(self) -> Tensor:
        """Diagonal, (channels, channels)."""
        return torch.diag(self._sum)


def nearest_output(layer: Any, moments: Tensor, rank: int) -> FactoredLinear:
    """The layer at this rank with the least tr((W - W') moments (W - W')^T); moments: (in, in).

    The left singular vectors of W S, from whichever of W C W^T and W S is the smaller matrix.
    """
    weight, moments = layer.weight.detach().double(), moments.double()
    if len(weight) <= len(moments):
        _, vectors = torch.linalg.eigh(weight @ moments @ weight.T)
        return projected(layer, vectors.flip(-1)[:, :rank])
    values, vectors = torch.linalg.eigh(moments)
    left, _, _ = svd(weight @ (vectors * values.clamp_min(0).sqrt()))  # rounding may leave values just below zero
    return projected(layer, left[:, :rank])
