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
class Row:
    """An example as token ids. prompt: how many of them are the prompt's."""

    ids: Sequence[int]
    prompt: int
    task: str


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

    @classmethod
    def of(cls, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, tokens: int) -> "Batch":
        """A batch of its `arrays`, on their device; whose examples they are is not known."""
        return cls(input_ids, attention_mask, labels, ("",) * len(input_ids), tokens)

    @property
    def arrays(self) -> tuple[Any, ...]:
        """Plain data, to be sent."""
        tensors = (self.input_ids, self.attention_mask, self.labels)
        return (*(tensor.cpu().numpy() for tensor in tensors), self.tokens)

    @property
    def size(self) -> float:
        """Tokens that are trained on."""
        return self.tokens

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

    def parts(self, rows: int | None) -> Iterator[tuple["Batch", float]]:
        """As `split`, each with its share of the tokens that are learned."""
        for part in self.split(rows or len(self.tasks)):
            yield part, part.taught / self.taught


def encoded(tokenizer: Any, examples: Sequence[Example]) -> list[Row]:
    """The examples as token ids."""
    if not examples:
        return []
    whole = tokenizer([e.prompt + e.answer for e in examples], add_special_tokens=False, verbose=False)["input_ids"]
    prompts = tokenizer([e.prompt for e in examples], add_special_tokens=False, verbose=False)["input_ids"]
    return [Row(ids, len(prompt), e.task) for ids, prompt, e in zip(whole, prompts, examples, strict=True)]


def collate(tokenizer: Any, chosen: Sequence[Example], device: str) -> Batch:
    """One batch of examples, padded on the right."""
    return side_by_side(encoded(tokenizer, chosen), padding(tokenizer), device)


def padding(tokenizer: Any) -> int:
    """The id that rows are padded with."""
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)


def side_by_side(rows: Sequence[Row], pad: int, device: str | torch.device) -> Batch:
    """One batch of examples that are token ids already, padded on the right."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED)
    for place, row in enumerate(rows):
        length = len(row.ids)
        ids[place, :length] = torch.tensor(row.ids)
        mask[place, :length] = 1
        first = max(row.prompt, 1)  # nothing foretells the first token of all
        labels[place, first:length] = ids[place, first:length]
    tasks = tuple(row.task for row in rows)
    return Batch(ids.to(device), mask.to(device), labels.to(device), tasks, sum(len(row.ids) for row in rows))
