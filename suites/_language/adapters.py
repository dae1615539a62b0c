"""Adapters by peft on any decoder whose linear layers are left: for the suites of language models and their methods."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def decoder_linears(model: Any) -> list[str]:
    """Dotted names of the linear layers within the decoder's blocks."""
    layers = model.get_decoder().layers
    prefix = next(name for name, module in model.named_modules() if module is layers)
    return [f"{prefix}.{name}" for name, module in layers.named_modules() if isinstance(module, nn.Linear)]


def adapted(model: Any, config: Any, seed: int) -> Any:
    """`model` with the adapters of a peft config, all else frozen; what is random in them is drawn from the seed alone.

    The modules of `model` are changed in place; use what is returned.
    """
    from peft import get_peft_model

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def with_lora(model: Any, *, rank: int, alpha: float, seed: int, targets: Sequence[str] | None = None) -> Any:
    """`adapted` by LoRA (Hu et al., 2021) on these layers (all linears of the blocks).

    The updates start at zero, as the product of a random matrix and a zero one.
    """
    from peft import LoraConfig

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets or decoder_linears(model)))
    return adapted(model, config, seed)
