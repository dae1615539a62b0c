"""A segmenter of volumes that answers: what the judge may ask of it, with volumes in and labels or logits out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contract import Served
from suites.volumetric_segmentation.data import CHANNELS
from suites.volumetric_segmentation.learning import as_inputs
from suites.volumetric_segmentation.regions import CLASSES


class ServedSegmenter(Served[Any]):
    """candidate: a module that takes float32 volumes (n, 4, size, size, size) in -1..1 and gives logits (n, 4, size,
    size, size): nothing, necrosis, oedema, enhancing tumour."""

    def __init__(self, candidate: Any, device: str, size: int) -> None:
        super().__init__(candidate, device)
        self.model = candidate.eval()
        self._size = size

    def figures(self) -> Mapping[str, float]:
        """`parameters`: numbers that the model stores, parameters and persistent buffers, shared ones once."""
        distinct = {id(each): each for each in self.model.state_dict(keep_vars=True).values() if torch.is_tensor(each)}
        return {"parameters": float(sum(each.numel() for each in distinct.values()))}

    def resident(self) -> Any:
        return self.model

    def segment(self, images: Any) -> Tensor:
        """Labels (n, size, size, size) uint8, of uint8 images (n, 4, size, size, size), one volume at a time. Raises
        ValueError for images of another size or type, and for logits that are none."""
        return torch.cat([self._forward(each[None]).argmax(1).to(torch.uint8) for each in self._read(images)])

    def logits(self, images: Any) -> Tensor:
        """(n, 4, size, size, size) float32, one volume at a time."""
        return torch.cat([self._forward(each[None]) for each in self._read(images)])

    @torch.inference_mode()
    def _forward(self, images: Tensor) -> Tensor:
        found = self.model(as_inputs(images))
        wanted = (len(images), CLASSES, *images.shape[2:])
        if not torch.is_tensor(found) or tuple(found.shape) != wanted:
            shape = tuple(found.shape) if torch.is_tensor(found) else type(found).__name__
            raise ValueError(f"logits of the shape {wanted} were wanted; the model gave {shape}")
        if not torch.isfinite(found).all():
            raise ValueError("the model gave logits that are no finite numbers")
        return found.float()

    def _read(self, images: Any) -> Tensor:
        whole = torch.as_tensor(np.asarray(images) if not torch.is_tensor(images) else images)
        wanted = (CHANNELS, self._size, self._size, self._size)
        if whole.dtype != torch.uint8 or tuple(whole.shape[1:]) != wanted or not len(whole):
            raise ValueError(
                f"images are uint8 and (n, {', '.join(map(str, wanted))}); these are "
                f"{str(whole.dtype).removeprefix('torch.')} and {tuple(whole.shape)}"
            )
        return whole.to(self.device)
