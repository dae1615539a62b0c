"""Control: 8-bit weights, rounded to the nearest level, row by row."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from bench.contract import Card, Method
from methods._techniques.int8 import Int8Embedding, Int8Linear, quantise_rows, stored_bytes
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class Int8WeightOnly(Method[CausalLMTask]):
    """Stores weights as 8-bit integers with a 16-bit scale per row; activations stay at 16 bits.

    No data, no training: round to nearest. Decoding runs PyTorch's int8 kernel (aten::_weight_int8pack_mm), which
    reads the 8-bit weights themselves; prompts of more than a few tokens cast a matrix to 16 bits on the fly for the
    time of its product.

    embeddings: whether token embeddings and output head are stored in 8 bits too. Where the model ties them, they stay
    tied: one int8 matrix serves both.
    """

    card = Card(
        slug="int8-weight-only",
        title="8-bit weights",
        paper="Control: weight-only int8, rounding to nearest",
        control=True,
        notes="PyTorch's own kernel is called directly: torchao 0.18's Int8WeightOnlyConfig, run without a compiler "
        "on a CPU, casts every matrix to 16 bits before each product.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "linear-only": {"embeddings": False}}

    embeddings: bool = True

    def supports(self, task: CausalLMTask) -> str | None:
        for name, allowed in task.limits.result.items():
            if name != "stored_ratio":
                return f"8-bit weights change the stored bytes; they cannot meet a limit on {name}"
            ratio = self._stored_ratio(task.model)
            if ratio > allowed:
                return f"8-bit weights come to a stored_ratio of {ratio:.4f}; the limit is {allowed:g}"
        return None

    def build(self, task: CausalLMTask) -> nn.Module:
        dense = task.model
        # What is replaced need not be copied: the copy borrows it, and loses it below.
        borrowed = {id(tensor): tensor for name in self._names(dense) for tensor in _weights(dense, name)}
        candidate = copy.deepcopy(dense, borrowed)
        quantised: dict[int, tuple[Any, Any]] = {}
        for name in self._names(dense):
            module = dense.get_submodule(name)
            if id(module.weight) not in quantised:  # tied matrices share their integers
                quantised[id(module.weight)] = quantise_rows(module.weight)
            values, scale = quantised[id(module.weight)]
            if isinstance(module, nn.Embedding):
                candidate.set_submodule(name, Int8Embedding(values, scale))
            else:
                bias = module.bias.detach().clone() if module.bias is not None else None
                candidate.set_submodule(name, Int8Linear(values, scale, bias))
        return candidate.eval()

    def _names(self, model: Any) -> list[str]:
        """Dotted names of the modules to replace."""
        outer = (model.get_input_embeddings(), model.get_output_embeddings())
        chosen = (nn.Linear, nn.Embedding) if self.embeddings else nn.Linear
        return [
            name
            for name, module in model.named_modules()
            if isinstance(module, chosen) and (self.embeddings or module not in outer)
        ]

    def _stored_ratio(self, model: Any) -> float:
        """Bytes with int8 weights against bytes now; predicted, without what the file format adds."""
        weights = {id(module.weight): module.weight for module in map(model.get_submodule, self._names(model))}
        now = stored_bytes(model)
        saved = sum(weight.numel() * (weight.element_size() - 1) for weight in weights.values())
        scales = sum(len(weight) * weight.element_size() for weight in weights.values())
        return (now - saved + scales) / now


def _weights(model: Any, name: str) -> Iterator[Any]:
    yield from model.get_submodule(name).parameters()
