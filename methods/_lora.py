"""LoRA (Hu et al., 2021) by peft, on any decoder whose linear layers are left, and merged away when it is trained."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from methods._recovery import next_token_loss, recovery_batches, train
from suites.lm_compression.task import CausalLMTask

LEARNING_RATE = 1e-3


def decoder_linears(model: Any) -> list[str]:
    """Dotted names of the linear layers within the decoder's blocks."""
    layers = model.get_decoder().layers
    prefix = next(name for name, module in model.named_modules() if module is layers)
    return [f"{prefix}.{name}" for name, module in layers.named_modules() if isinstance(module, nn.Linear)]


def add_lora(model: Any, *, rank: int, alpha: float, targets: Sequence[str] | None = None, seed: int = 0) -> Any:
    """`model` with trainable low-rank updates of these layers (all linears of the blocks), everything else frozen.

    The updates start at zero, as the product of a random matrix, drawn from the seed alone, and a zero one.
    The modules of `model` are changed in place; use what is returned, and `merge` it.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets or decoder_linears(model)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def merge(model: Any) -> Any:
    """The plain model again, the updates added to its weights."""
    return model.merge_and_unload().eval().requires_grad_(False)


def lora_recovery(model: Any, task: CausalLMTask, *, rank: int = 8, learning_rate: float = LEARNING_RATE) -> Any:
    """Train LoRA on the recovery budget with the next-token loss, merge it, and return the model."""
    adapted = add_lora(model, rank=rank, alpha=2 * rank, seed=task.seed)
    train(adapted, recovery_batches(task), lambda ids: next_token_loss(adapted, ids), learning_rate=learning_rate)
    return merge(adapted)
