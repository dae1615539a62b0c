"""What is shipped to someone who has the base: what a fine-tuning method builds."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from suites.lm_finetuning.lora import LoRA, merged, updates


class Patch(ABC):
    """Makes an adapted model of the base. It is written to disk as it is, and applied to another copy of the base."""

    @property
    @abstractmethod
    def tensors(self) -> Mapping[str, Tensor]:
        """What is shipped, by name."""

    @abstractmethod
    def applied(self, base: Any) -> Any:
        """A new model that is called as the base is, in eval mode. The base stays as it is."""


@dataclass(frozen=True)
class AddedLoRA(Patch):
    """Updates of low rank, merged into the base's weights."""

    lora: LoRA

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return self.lora.tensors

    def applied(self, base: Any) -> Any:
        return merged(base, updates(self.lora))


@dataclass(frozen=True)
class Changed(Patch):
    """Weights in the place of the base's own. weights: by the parameter's name."""

    weights: Mapping[str, Tensor]

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return self.weights

    @torch.no_grad()
    def applied(self, base: Any) -> Any:
        model = copy.deepcopy(base)
        own = dict(model.named_parameters())
        for name, weight in self.weights.items():
            own[name].copy_(weight)
        return model.eval().requires_grad_(False)
