"""Layers that are not pruned, as LLM-Pruner and LoRAPrune leave the ends of the model whole."""

import math
from typing import Any

from methods.lm_compression.structured_pruning._cut import layers


def protected(model: Any, first: float, last: int) -> frozenset[int]:
    """Indices of the share `first` of the layers, from the input, rounded down, and of the `last` ones."""
    count = len(layers(model))
    return frozenset({*range(math.floor(first * count)), *range(count - last, count)})
