"""LoRA adapters as data (Hu et al., 2021): what the tracks give away and what merging makes of it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LoRA:
    """Updates scale * B A of linear layers. a: (rank, inputs), b: (outputs, rank), by the layer's dotted name."""

    a: Mapping[str, Tensor]
    b: Mapping[str, Tensor]
    scale: float

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What is shipped."""
        return {f"{name}.{part}": t for part, of in (("a", self.a), ("b", self.b)) for name, t in of.items()}


def read_lora(adapted: Any) -> LoRA:
    """The updates of a peft model, on the CPU."""
    modules = {name: module for name, module in adapted.base_model.model.named_modules() if hasattr(module, "lora_A")}
    scales = {module.scaling["default"] for module in modules.values()}
    if len(scales) != 1:
        raise ValueError(f"the layers have {len(scales)} different scales; one was expected")
    return LoRA(
        {name: module.lora_A["default"].weight.detach().cpu().clone() for name, module in modules.items()},
        {name: module.lora_B["default"].weight.detach().cpu().clone() for name, module in modules.items()},
        scales.pop(),
    )


@torch.no_grad()
def merged(base: Any, updates: Mapping[str, Tensor]) -> Any:
    """A copy of `base` with these updates (outputs, inputs) added to the weights of its layers, in eval mode."""
    model = copy.deepcopy(base)
    for name, update in updates.items():
        weight = model.get_submodule(name).weight
        weight.copy_((weight.float() + update.to(weight.device).float()).to(weight.dtype))
    return model.eval().requires_grad_(False)


def updates(lora: LoRA) -> dict[str, Tensor]:
    """The products scale * B A, float32 (outputs, inputs)."""
    return {name: lora.scale * (lora.b[name].float() @ a.float()) for name, a in lora.a.items()}
