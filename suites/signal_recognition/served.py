"""A recogniser that answers: what the judge may ask of it, with signals in and logits out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contract import Served
from suites.signal_recognition.signals import LENGTH

AT_ONCE = 250
"""Signals that go through the model at a time in the exam."""


class ServedRecogniser(Served[Any]):
    """candidate: a module that takes float32 signals (n, 2, samples) and gives logits (n, classes)."""

    def __init__(self, candidate: Any, device: str, classes: int) -> None:
        super().__init__(candidate, device)
        self.model = candidate.eval()
        self._classes = classes

    def figures(self) -> Mapping[str, float]:
        """`parameters`: numbers that the model stores, parameters and persistent buffers, shared ones once."""
        distinct = {id(each): each for each in self.model.state_dict(keep_vars=True).values() if torch.is_tensor(each)}
        return {"parameters": float(sum(each.numel() for each in distinct.values()))}

    def resident(self) -> Any:
        return self.model

    def logits(self, signals: Any) -> Tensor:
        """(n, classes) float32, AT_ONCE at a time. Raises ValueError for signals of another shape or type."""
        whole = self._read(signals)
        return torch.cat([self._forward(whole[start : start + AT_ONCE]) for start in range(0, len(whole), AT_ONCE)])

    def recognise(self, signals: Any) -> Tensor:
        """The same at once, however many there are; this is what is timed."""
        return self._forward(self._read(signals))

    @torch.inference_mode()
    def _forward(self, signals: Tensor) -> Tensor:
        found = self.model(signals)
        if not torch.is_tensor(found) or tuple(found.shape) != (len(signals), self._classes):
            shape = tuple(found.shape) if torch.is_tensor(found) else type(found).__name__
            raise ValueError(f"logits of the shape {(len(signals), self._classes)} were wanted; the model gave {shape}")
        return found.float()

    def _read(self, signals: Any) -> Tensor:
        whole = signals if torch.is_tensor(signals) else torch.as_tensor(np.asarray(signals))
        if whole.dtype != torch.float32 or whole.ndim != 3 or tuple(whole.shape[1:]) != (2, LENGTH) or not len(whole):
            raise ValueError(
                f"signals are float32 and (n, 2, {LENGTH}), I and Q; these are "
                f"{str(whole.dtype).removeprefix('torch.')} and {tuple(whole.shape)}"
            )
        return whole.to(self.device)
