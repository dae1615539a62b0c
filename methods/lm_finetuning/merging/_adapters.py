"""LoRAs as sums of units, a row of A with a column of B each."""

from collections.abc import Sequence

import torch

from suites.lm_finetuning.lora import LoRA


def folded(lora: LoRA) -> LoRA:
    """The same updates with scale 1: A and B take the root of it each."""
    root = lora.scale**0.5
    return LoRA(
        {name: root * a.float() for name, a in lora.a.items()},
        {name: root * b.float() for name, b in lora.b.items()},
        1.0,
    )


def weighted_sum(loras: Sequence[LoRA], weight: float) -> LoRA:
    """The exact sum of the updates, times `weight`, as one LoRA: its rank is the sum of theirs."""
    parts = [folded(lora) for lora in loras]
    return LoRA(
        {name: torch.cat([part.a[name] for part in parts]) for name in parts[0].a},
        {name: torch.cat([part.b[name] for part in parts], dim=1) for name in parts[0].b},
        weight,
    )
