"""A click model that answers: what the judge may ask of it, with ids in and logits out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contract import Served
from suites.ctr_prediction.fields import Field, wrong_ids

AT_ONCE = 4_096
"""Rows that go through the model at a time in the exam."""


class ServedClicks(Served[Any]):
    """candidate: a module that takes ids (n, slots) int64 and gives logits (n,)."""

    def __init__(self, candidate: Any, device: str, fields: Sequence[Field]) -> None:
        super().__init__(candidate, device)
        self.model = candidate.eval()
        self._fields = fields

    def figures(self) -> Mapping[str, float]:
        """`parameters`: numbers that the model stores, parameters and persistent buffers, shared ones once."""
        distinct = {id(each): each for each in self.model.state_dict(keep_vars=True).values() if torch.is_tensor(each)}
        return {"parameters": float(sum(each.numel() for each in distinct.values()))}

    def resident(self) -> Any:
        return self.model

    def logits(self, ids: Any) -> Tensor:
        """(n,) float32 of ids (n, slots), AT_ONCE at a time. Raises ValueError for ids that no field has."""
        whole = np.asarray(ids)
        if problem := wrong_ids(whole, self._fields):
            raise ValueError(problem)
        rows = torch.from_numpy(np.array(whole)).long().to(self.device)
        return torch.cat([self.predict(part) for part in rows.split(AT_ONCE)])

    @torch.inference_mode()
    def predict(self, ids: Tensor) -> Tensor:
        """The same at once, however many there are, of int64 ids that are known to be right; this is what is timed."""
        found = self.model(ids)
        if not torch.is_tensor(found) or tuple(found.shape) != (len(ids),):
            shape = tuple(found.shape) if torch.is_tensor(found) else type(found).__name__
            raise ValueError(f"logits of the shape {(len(ids),)} were wanted; the model gave {shape}")
        return found.float()
