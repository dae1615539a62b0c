"""Tells real prompts from made-up ones: a language model with LoRA and a head for one logit."""

import copy
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from suites._language.adapters import with_lora
from suites._training.learner import Learner
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import Batch, collate
from suites.lm_finetuning.examples import Example
from suites.lm_finetuning.task import BATCH, FineTuningTask
from suites.lm_finetuning.transfer import TransferTask

REAL, MADE_UP = "real", "made up"


class Discriminator(nn.Module):
    """Reads prompts; its head reads the last token's hidden state and starts at zero, undecided."""

    def __init__(self, base: Any, *, rank: int, seed: int) -> None:
        super().__init__()
        self.model = with_lora(copy.deepcopy(base), rank=rank, alpha=2.0 * rank, seed=seed)
        self.head = nn.Linear(base.config.hidden_size, 1, device=base.device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Logits of being real: (examples,)."""
        decoder = self.model.get_base_model().get_decoder()
        call = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "use_cache": False}
        states = decoder(**call).last_hidden_state
        last = batch.attention_mask.sum(1) - 1
        return self.head(states[torch.arange(len(last), device=last.device), last].float())[:, 0]


class DiscriminatorLearner(Learner[Batch]):
    """Learns by the cross entropy of the two kinds, which a batch has as its tasks."""

    def loss(self, batch: Batch) -> Tensor:
        real = [float(kind == REAL) for kind in batch.tasks]
        return binary_cross_entropy_with_logits(self.model(batch), torch.tensor(real, device=batch.input_ids.device))


def trained_discriminator(
    task: TransferTask, base: Any, real: Sequence[str], made_up: Sequence[str], *, steps: int, rank: int, rate: float
) -> Discriminator:
    """A discriminator after so many steps over as many real prompts as made-up ones, drawn by the task's seed; their
    tokens are metered as "discriminator_tokens"."""
    rng = random.Random(f"discriminator {task.seed}")
    batches = []
    for _ in range(steps):
        chosen = [(REAL, rng.choice(real)) for _ in range(BATCH // 2)]
        chosen += [(MADE_UP, rng.choice(made_up)) for _ in range(BATCH // 2)]
        batches.append(_batch(task, chosen))
    task.count(sum(batch.tokens for batch in batches), "discriminator")
    learner = DiscriminatorLearner(Discriminator(base, rank=rank, seed=task.seed))
    train(Trainer(learner), batches, rate)
    return learner.model


@torch.no_grad()
def realness(task: FineTuningTask, discriminator: Discriminator, prompts: Sequence[str]) -> list[float]:
    """The probability that it gives to each prompt of being real."""
    found: list[float] = []
    for start in range(0, len(prompts), BATCH):
        part = [(REAL, prompt) for prompt in prompts[start : start + BATCH]]
        found += discriminator(_batch(task, part)).sigmoid().tolist()
    return found


def likeliest(prompts: Sequence[str], scores: Sequence[float], count: int) -> list[str]:
    """The `count` prompts with the best scores, in their order."""
    order = sorted(range(len(prompts)), key=lambda index: -scores[index])
    return [prompts[index] for index in sorted(order[:count])]


def _batch(task: FineTuningTask, chosen: Sequence[tuple[str, str]]) -> Batch:
    return collate(task.tokenizer, [Example(kind, prompt, "\n") for kind, prompt in chosen], task.device)
