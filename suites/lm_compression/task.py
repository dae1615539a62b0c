"""What a compression method sees: the base model, its tokenizer, metered calibration and training text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from bench.contract import Task

Split = Literal["calibration", "training"]


@dataclass(kw_only=True)
class CausalLMTask(Task):
    """Post-training compression of a causal language model.

    load_model, load_tokenizer: each is called when it is first asked for.
    """

    load_model: Callable[[], Any] = field(repr=False)
    load_tokenizer: Callable[[], Any] = field(repr=False)

    @cached_property
    def model(self) -> Any:
        """The dense base, a transformers causal LM in eval mode (bfloat16 at the embedded and full scale, float32 at
        tiny). Never change it: copy it. Candidates keep its calling convention (input_ids, attention_mask,
        position_ids, past_key_values, use_cache -> .logits) and `generate`."""
        return self.load_model()

    @cached_property
    def tokenizer(self) -> Any:
        """The base's."""
        return self.load_tokenizer()

    def available(self, split: Split) -> int:
        """Tokens of a split that may still be drawn."""
        left = self.left(f"{split}_tokens")
        total = len(self.supplies[split])
        return total if left is None else min(total, left)

    def calibration(self, samples: int, length: int) -> Iterator[Tensor]:
        """Yield `samples` windows of calibration text, each a LongTensor (1, length) on the task's device.

        The windows are fixed by the suite: consecutive, the same for every method and every seed. Each token drawn
        counts towards the limit "calibration_tokens". Raises ValueError if the split holds fewer tokens than asked.
        """
        yield from self._windows("calibration", samples, length, range(samples))

    def training(self, samples: int, length: int) -> Iterator[Tensor]:
        """The same for the training split, in an order drawn from the seed, metered as "training_tokens"."""
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(self.supplies["training"]) // length, generator=generator).tolist()
        yield from self._windows("training", samples, length, order)

    def _windows(self, split: Split, samples: int, length: int, order: Sequence[int]) -> Iterator[Tensor]:
        available = len(self.supplies[split]) // length
        if samples > available:
            raise ValueError(
                f"{split} split holds {available} windows of {length} tokens, {samples} were asked for; "
                "use fewer or shorter samples"
            )
        for window in order[:samples]:
            ids = self.supplies[split].take((window * length, (window + 1) * length))
            yield torch.from_numpy(ids)[None].to(self.device)
