"""Recovery after compression: a short training under one budget for all, so that criteria can be told from healing."""

from collections.abc import Callable, Iterable, Iterator
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
    available = len(task.training_ids)
    allowed = task.limits.supplies.get("training_tokens")
    if allowed is not None:
        available = min(available, allowed - task.drawn["training_tokens"])
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


def train(
    model: Any,
    batches: Iterable[Tensor],
    loss: Callable[[Tensor], Tensor],
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    warm_up: float = 0.1,
    clip: float = 1.0,
    before_step: Callable[[int], None] | None = None,
    after_step: Callable[[int], None] | None = None,
) -> list[float]:
    """AdamW on the parameters of `model` that require a gradient; returns the loss of each step.

    Linear warm-up over the share `warm_up` of the steps, then linear decay to zero; gradients are clipped to the norm
    `clip`. Weights of 16 bits are trained as the rounding of a copy of 32 bits, since most steps are smaller than what
    16 bits can hold. before_step(index) is called when the weights have their gradients, after_step(index) when they
    have been updated. The model ends in eval mode, without gradients.
    """
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    masters = [weight.detach().float().clone() for weight in weights]
    optimizer = torch.optim.AdamW(masters, lr=learning_rate, weight_decay=weight_decay)
    steps = list(batches)
    ramp = max(1, round(warm_up * len(steps)))
    losses = []
    model.train()
    for index, ids in enumerate(steps):
        share = min((index + 1) / ramp, (len(steps) - index) / max(1, len(steps) - ramp))
        optimizer.param_groups[0]["lr"] = learning_rate * share
        value = loss(ids)
        value.backward()
        if before_step is not None:
            before_step(index)
        for weight, master in zip(weights, masters, strict=True):
            master.grad = None if weight.grad is None else weight.grad.float()
            weight.grad = None
        torch.nn.utils.clip_grad_norm_(masters, clip)
        optimizer.step()
        with torch.no_grad():
            for weight, master in zip(weights, masters, strict=True):
                weight.copy_(master)
        if after_step is not None:
            after_step(index)
        losses.append(value.item())
    for weight in weights:
        weight.grad = None
    model.eval()
    return losses
