"""Updates of low rank with singular values of their own, as what is shipped."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from suites.lm_finetuning.lora import merged
from suites.lm_finetuning.patches import Patch


@dataclass(frozen=True)
class Triplets(Patch):
    """Updates scale * B diag(e) A, merged into the base's weights. factors: by the layer's name, a (rank, inputs), e
    (rank,) and b (outputs, rank)."""

    factors: Mapping[str, Mapping[str, Tensor]]
    scale: float

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return {f"{name}.{part}": tensor for name, own in self.factors.items() for part, tensor in own.items()}

    def applied(self, base: Any) -> Any:
        return merged(base, {n: self.scale * (own["b"] * own["e"]) @ own["a"] for n, own in self.factors.items()})
