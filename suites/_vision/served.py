"""An image classifier that answers: what the judge may ask of it, with images in and logits out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contract import Served
from suites._vision.learning import as_inputs

AT_ONCE = 250
"""Images that go through the model at a time in the exam."""


class ServedClassifier(Served[Any]):
    """candidate: a module that takes float32 images (n, 3, size, size) in -1..1 and gives logits (n, classes)."""

    def __init__(self, candidate: Any, device: str, classes: int, size: int) -> None:
        super().__init__(candidate, device)
        self.model = candidate.eval()
        self._classes, self._size = classes, size

    def figures(self) -> Mapping[str, float]:
        """`parameters`: numbers that the model stores, parameters and persistent buffers, shared ones once."""
        distinct = {id(each): each for each in self.model.state_dict(keep_vars=True).values() if torch.is_tensor(each)}
        return {"parameters": float(sum(each.numel() for each in distinct.values()))}

    def resident(self) -> Any:
        return self.model

    def logits(self, images: Any) -> Tensor:
        """(n, classes) float32, of uint8 images (n, 3, size, size), AT_ONCE at a time. Raises ValueError for images
        of another size or type."""
        whole = self._read(images)
        return torch.cat([self._forward(whole[start : start + AT_ONCE]) for start in range(0, len(whole), AT_ONCE)])

    def classify(self, images: Tensor) -> Tensor:
        """The same at once, however many there are; this is what is timed."""
        return self._forward(self._read(images))

    @torch.inference_mode()
    def _forward(self, images: Tensor) -> Tensor:
        found = self.model(as_inputs(images))
        if not torch.is_tensor(found) or tuple(found.shape) != (len(images), self._classes):
            shape = tuple(found.shape) if torch.is_tensor(found) else type(found).__name__
            raise ValueError(f"logits of the shape {(len(images), self._classes)} were wanted; the model gave {shape}")
        return found.float()

    def _read(self, images: Any) -> Tensor:
        whole = torch.as_tensor(np.asarray(images) if not torch.is_tensor(images) else images)
        wanted = (3, self._size, self._size)
        if whole.dtype != torch.uint8 or whole.ndim != 4 or tuple(whole.shape[1:]) != wanted or not len(whole):
            raise ValueError(
                f"images are uint8 and (n, 3, {self._size}, {self._size}); these are "
                f"{str(whole.dtype).removeprefix('torch.')} and {tuple(whole.shape)}"
            )
        return whole.to(self.device)
