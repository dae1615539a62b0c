"""What a model says of a batch, read in one row without padding.

The position ids begin anew with each example; by that transformers knows that attention must not pass from one to the
next. A padded batch of these tasks would be half as long again, and nothing but the answers needs the projection to
the vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from suites.lm_finetuning.batches import IGNORED, Batch

TOLERANCE = 0.05
"""Nats by which an answer's loss may differ between the two ways of reading: the rounding of 16 bits."""


def answer_logits(model: Any, batch: Batch) -> Tensor:
    """Logits of the answers' tokens, (taught, vocabulary), in the order of `batch.wanted`."""
    line = batch.line
    before = (line.labels[1:] != IGNORED).nonzero()[:, 0]
    return model(
        input_ids=line.ids[None], position_ids=line.positions[None], logits_to_keep=before, use_cache=False
    ).logits[0]


def all_logits(model: Any, batch: Batch) -> Tensor:
    """Logits after every token, (tokens, vocabulary), example by example."""
    line = batch.line
    return model(input_ids=line.ids[None], position_ids=line.positions[None], use_cache=False).logits[0]


@torch.no_grad()
def check_apart(model: Any, batch: Batch) -> None:
    """Raises ValueError if a model lets the examples of a row see each other."""
    for index, part in enumerate(batch.split(1)):
        own = batch.examples == index
        together = answer_logits(model, batch)[own].float().log_softmax(-1)
        alone = answer_logits(model, part).float().log_softmax(-1)
        lost = [-logits.gather(1, part.wanted[:, None]).mean() for logits in (together, alone)]
        if abs(float(lost[0] - lost[1])) > TOLERANCE * (1 + float(lost[1])):
            raise ValueError(
                f"{type(model).__name__} does not keep the examples of one row apart by their position ids; use a "
                "model for which transformers masks packed sequences (Llama, Qwen2, Gemma and the like)"
            )
