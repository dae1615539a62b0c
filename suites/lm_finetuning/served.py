"""An adapted model that answers."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from suites._language.served import ServedLM
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.learning import answer_loss
from suites.lm_finetuning.patches import Patch


class ServedPatch(ServedLM):
    """A base with a patch applied to it."""

    def __init__(self, patch: Patch, base: Any, tokenizer: Any, device: str) -> None:
        super().__init__(patch, patch.applied(base), tokenizer, device)
        self._base_parameters = sum(parameter.numel() for parameter in base.parameters())

    def figures(self) -> Mapping[str, float]:
        """`shipped_bytes`, and `shipped_ratio`: numbers that are shipped, to the base's parameters."""
        shipped = self.candidate.tensors.values()
        return {
            "shipped_bytes": float(sum(tensor.numel() * tensor.element_size() for tensor in shipped)),
            "shipped_ratio": sum(tensor.numel() for tensor in shipped) / self._base_parameters,
        }

    def loss(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, tokens: int) -> float:
        """Mean loss of the answers in a batch (its `arrays`), nats."""
        arrays = (torch.as_tensor(each, device=self.device) for each in (input_ids, attention_mask, labels))
        with torch.inference_mode():
            return float(answer_loss(self.model, Batch.of(*arrays, tokens)))

    def _model_changed(self) -> None:
        """What was kept of the model before is worth nothing any more."""
        self._cache = None
        self.__dict__.pop("scorer", None)
