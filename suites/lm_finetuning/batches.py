"""Examples as token ids, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from suites.lm_finetuning.examples import Example

IGNORED = -100
"""Label of what is not learned: the prompt and the padding."""


@dataclass(frozen=True)
class Line:
    """Examples one after the other. ids, labels, positions (within the example): LongTensors (tokens,)."""

    ids: Tensor
    labels: Tensor
    positions: Tensor


@dataclass(frozen=True)
class Batch:
    """input_ids, attention_mask, labels: LongTensors (examples, longest); labels are the ids of the answers' tokens in
    their own places and IGNORED elsewhere. tasks: whose example each row is. tokens: without the padding."""

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    tasks: tuple[str, ...]
    tokens: int

    @property
    def taught(self) -> int:
        """Tokens that are learned."""
        return int((self.labels != IGNORED).sum())

    @property
    def wanted(self) -> Tensor:
        """The ids of the tokens that are learned, example by example: LongTensor (taught,)."""
        return self.labels[self.labels != IGNORED]

    @property
    def examples(self) -> Tensor:
        """Which example each of `wanted` is of: LongTensor (taught,)."""
        return (self.labels != IGNORED).nonzero()[:, 0]

    @property
    def line(self) -> Line:
        """The batch without its padding."""
        read = self.attention_mask.bool()
        return Line(self.input_ids[read], self.labels[read], (self.attention_mask.cumsum(1) - 1)[read])

    def split(self, rows: int) -> Iterator["Batch"]:
        """Its examples, at most `rows` at a time."""
        for start in range(0, len(self.tasks), rows):
            part = slice(start, start + rows)
            mask = self.attention_mask[part]
            width = int(mask.sum(1).max())
            ids, labels = self.input_ids[part, :width], self.labels[part, :width]
            yield Batch(ids, mask[:, :width], labels, self.tasks[part], int(mask.sum()))


def encode(tokenizer: Any, example: Example) -> tuple[list[int], int]:
    """Token ids of prompt and answer, and how many of them are the prompt's."""
    whole = tokenizer(example.prompt + example.answer, add_special_tokens=False)["input_ids"]
    return whole, len(tokenizer(example.prompt, add_special_tokens=False)["input_ids"])


def collate(tokenizer: Any, chosen: Sequence[Example], device: str) -> Batch:
    """One batch of examples, padded on the right."""
    rows = [encode(tokenizer, example) for example in chosen]
    width = max(len(ids) for ids, _ in rows)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED)
    for row, (tokens, prompt) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        first = max(prompt, 1)  # nothing foretells the first token of all
        labels[row, first : len(tokens)] = ids[row, first : len(tokens)]
    tasks = tuple(example.task for example in chosen)
    return Batch(ids.to(device), mask.to(device), labels.to(device), tasks, sum(len(tokens) for tokens, _ in rows))
