"""Recovery after compression: a short training under one budget for all, so that criteria can be told from healing."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from suites.lm_compression.task import CausalLMTask

TOKENS = 32_768
"""Training tokens of every recovery. Half of what the operating points allow: two cores train a model of 135M
parameters at one to two hundred tokens a second, and the build may take 900 s."""

TINY_TOKENS = 4_096
"""The same at the tiny scale, which shows that everything runs and has nothing to recover."""

LENGTH = 128
BATCH = 4


def recovery_batches(
    task: CausalLMTask, tokens: int | None = None, length: int = LENGTH, batch: int = BATCH
) -> Iterator[Tensor]:
    """Batches (batch, length) of training text, in the order of the task's seed, `tokens` in all (the recovery budget).

    Fewer where the split or the allowance "training_tokens" is smaller; the record keeps what was drawn.
    """
    if tokens is None:
        tokens = TINY_TOKENS if task.scale == "tiny" else TOKENS
    available = task.available("training")
    windows = list(task.training(min(tokens, available) // length, length))
    for start in range(0, len(windows), batch):
        yield torch.cat(windows[start : start + batch])


def next_token_loss(model: Any, ids: Tensor) -> Tensor:
    """Mean cross entropy of the next token, nats; ids: (batch, length)."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    return cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def distillation_loss(model: Any, teacher: Any, ids: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean KL divergence of the model's next-token distribution from the teacher's, nats, times temperature squared
    (Hinton et al., 2015); ids: (batch, length)."""
    with torch.no_grad():
        wanted = log_softmax(teacher(input_ids=ids, use_cache=False).logits.float() / temperature, dim=-1)
    given = log_softmax(model(input_ids=ids, use_cache=False).logits.float() / temperature, dim=-1)
    divergence = kl_div(given.flatten(0, 1), wanted.flatten(0, 1), reduction="batchmean", log_target=True)
    return divergence * temperature**2
