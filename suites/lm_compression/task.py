"""What a compression method sees: the base model, its tokenizer, metered calibration and training text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.contract import Task


@dataclass(kw_only=True)
class CausalLMTask(Task):
    """Post-training compression of a causal language model.

    model: the dense base, a transformers causal LM in eval mode (bfloat16 at the embedded and full scale, float32 at
        tiny). Never change it: copy it. tokenizer: its tokenizer. Candidates keep the model's calling convention
        (input_ids, attention_mask, position_ids, past_key_values, use_cache -> .logits) and `generate`.
    """

    model: Any
    tokenizer: Any
    calibration_ids: Sequence[int] = field(repr=False)
    training_ids: Sequence[int] = field(repr=False)

    def calibration(self, samples: int, length: int) -> Iterator[Tensor]:
        """Yield `samples` windows of calibration text, each a LongTensor (1, length) on the task's device.

        The windows are fixed by the suite: consecutive, the same for every method and every seed. Each token drawn
        counts towards the limit "calibration_tokens". Raises ValueError if the split holds fewer tokens than asked.
        """
        yield from self._windows("calibration", self.calibration_ids, samples, length)

    def training(self, samples: int, length: int) -> Iterator[Tensor]:
        """The same for the training split, in an order drawn from the seed, metered as "training_tokens"."""
        starts = torch.randperm(
            len(self.training_ids) // length, generator=torch.Generator().manual_seed(self.seed)
        ).tolist()
        yield from self._windows("training", self.training_ids, samples, length, starts)

    def _windows(
        self, split: str, ids: Sequence[int], samples: int, length: int, order: Sequence[int] | None = None
    ) -> Iterator[Tensor]:
        available = len(ids) // length
        if samples > available:
            raise ValueError(
                f"{split} split holds {available} windows of {length} tokens, {samples} were asked for; "
                "use fewer or shorter samples"
            )
        for window in (order or range(samples))[:samples]:
            self.draw(f"{split}_tokens", length)
            yield torch.tensor([ids[window * length : (window + 1) * length]], device=self.device)
