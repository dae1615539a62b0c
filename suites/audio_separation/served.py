"""A separator that answers: what the judge may ask of it, with mixes in and two signals out; and its training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contract import Served
from suites._training.loop import validation_loss
from suites._training.rig import Rig
from suites._training.trainer import Trainer
from suites.audio_separation.learning import MixBatch

AT_ONCE = 8
"""Mixes that go through the model at a time in the exam."""
SHORTEST = 0.05
"""Seconds that can be separated."""
LOUDEST = 1.001
"""What is beyond it was clipped, or never scaled."""


class ServedSeparator(Served[Any]):
    """candidate: a module that takes float32 mixes (n, samples) in -1..1 and gives both speakers (n, 2, samples)."""

    def __init__(self, candidate: Any, device: str, rate: int) -> None:
        super().__init__(candidate, device)
        self.model = candidate.eval()
        self._rate = rate

    def figures(self) -> Mapping[str, float]:
        """`parameters`: numbers that the model stores, parameters and persistent buffers, shared ones once."""
        distinct = {id(each): each for each in self.model.state_dict(keep_vars=True).values() if torch.is_tensor(each)}
        return {"parameters": float(sum(each.numel() for each in distinct.values()))}

    def resident(self) -> Any:
        return self.model

    def speakers(self, mixes: Any) -> Tensor:
        """(n, 2, samples) float32, of mixes (n, samples), AT_ONCE at a time. Raises ValueError for what is no mix."""
        whole = self._read(mixes)
        return torch.cat([self._forward(whole[start : start + AT_ONCE]) for start in range(0, len(whole), AT_ONCE)])

    def separate(self, mixes: Tensor) -> Tensor:
        """The same at once, however many there are; this is what is timed."""
        return self._forward(self._read(mixes))

    @torch.inference_mode()
    def _forward(self, mixes: Tensor) -> Tensor:
        found = self.model(mixes)
        wanted = (len(mixes), 2, mixes.shape[-1])
        if not torch.is_tensor(found) or tuple(found.shape) != wanted:
            shape = tuple(found.shape) if torch.is_tensor(found) else type(found).__name__
            raise ValueError(f"two signals for each mix were wanted, {wanted}; the model gave {shape}")
        return found.float()

    def _read(self, mixes: Any) -> Tensor:
        whole = mixes if torch.is_tensor(mixes) else torch.as_tensor(np.asarray(mixes))
        if whole.dtype != torch.float32 or whole.ndim != 2 or not len(whole):
            raise ValueError(
                f"mixes are float32 and (n, samples); these are {str(whole.dtype).removeprefix('torch.')} and "
                f"{tuple(whole.shape)}"
            )
        if whole.shape[-1] < SHORTEST * self._rate:
            raise ValueError(
                f"a mix of {whole.shape[-1] / self._rate:.3f} s is too short: at least {SHORTEST} s at {self._rate} "
                f"samples a second"
            )
        if not (loudest := float(whole.abs().max())) <= LOUDEST:  # so that not-a-number is refused too
            raise ValueError(f"a mix lies within -1..1, and this one reaches {loudest:.3g}: scale it, do not clip it")
        return whole.to(self.device)


class SeparationRig(Rig[MixBatch]):
    """weighed_on: the batch that memory is weighed on, the same for all."""

    def __init__(self, trainer: Trainer[MixBatch], device: str, weighed_on: MixBatch) -> None:
        super().__init__(trainer, device, weighed_on, MixBatch.of)

    def validation(self, sources: Any) -> float:
        """Loss of what trains over these mixes, as it would be shipped."""
        batch = MixBatch.of(torch.as_tensor(sources, device=self.device))
        return validation_loss(self.candidate.learner, [batch])
