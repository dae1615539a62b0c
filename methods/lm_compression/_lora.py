"""LoRA (Hu et al., 2021) by peft, on any decoder whose linear layers are left, and merged away when it is trained."""

from typing import Any

from methods.lm_compression._recovery import next_token_loss, recovery_batches
from suites._language.adapters import with_lora
from suites._training.fit import fit
from suites.lm_compression.task import CausalLMTask

LEARNING_RATE = 3e-3
"""The best of 1e-3, 3e-3 and 1e-2, by the loss over other training text after whole recoveries of what `flap` leaves at
three quarters of the FLOPs. Run by hand, before `effbench tune` took methods of this suite."""


def merge(model: Any) -> Any:
    """The plain model again, the updates added to its weights."""
    return model.merge_and_unload().eval().requires_grad_(False)


def lora_recovery(model: Any, task: CausalLMTask, *, rank: int = 8, learning_rate: float = LEARNING_RATE) -> Any:
    """Train LoRA on the recovery budget with the next-token loss, merge it, and return the model."""
    adapted = with_lora(model, rank=rank, alpha=2 * rank, seed=task.seed)
    fit(adapted, recovery_batches(task), lambda ids: next_token_loss(adapted, ids), learning_rate=learning_rate)
    return merge(adapted)
