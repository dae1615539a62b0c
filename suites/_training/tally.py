"""FLOPs of all trainings of this process: counted on a sample of the steps, and taken to hold for the others.

One multiply-add is two FLOPs; products, convolutions and attention count, elementwise operators do not. Of a step whose
products nobody can count nothing is known, and then of the whole neither.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, shape_wrapper

STRIDE = 16
"""Of so many steps one is counted, which costs it some time. The second is the first: the first step of a training may
be unlike all others."""

_trainings: list["Count"] = []


def spent() -> Mapping[str, float]:
    """`build.flops` of what has been trained in this process; empty where nothing was, or not all could be counted."""
    found = [each.flops for each in _trainings if each.size]
    known = [flops for flops in found if flops is not None]
    return {"build.flops": math.fsum(known)} if found and len(known) == len(found) else {}


class Count:
    """What a training takes. steps: how many it may have. size: of the batches so far."""

    def __init__(self, steps: int) -> None:
        self.size = 0.0
        self._first = min(1, steps - 1)
        self._counted, self._of = 0.0, 0.0
        _trainings.append(self)

    @property
    def flops(self) -> float | None:
        """Of all steps so far, None where that can't be told."""
        return self._counted / self._of * self.size if self._of and math.isfinite(self._counted) else None

    @contextmanager
    def step(self, index: int, size: float) -> Iterator[None]:
        """Around a step over a batch of that size."""
        self.size += size
        if index % STRIDE != self._first:
            yield
            return
        with _Flops() as flops:
            yield
        self._counted += flops.total
        self._of += size


class _Flops(TorchDispatchMode):
    """Adds up what the operators take; infinite once a product is among them that has no formula."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        operator = func.overloadpacket
        if (formula := _formulas.get(operator)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        elif _PRODUCT.search(str(operator).rsplit(".", 1)[-1]):
            self.total = math.inf
        return out


_PRODUCT = re.compile(
    r"(?:^|_)(?:[a-z0-9]*mm|mv|addmv|v?dot|[a-z]*matmul|[a-z]*linear|conv(?:olution)?(?:\d?d)?|attention|lstm|gru|rnn)"
    r"(?:_|$)"
)
"""What an operator is called that multiplies matrices."""


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Shapes (batch, heads, tokens, head size). Scores, and probabilities times values; the whole rectangle."""
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _attention_backward(
    _: Any, query: Sequence[int], key: Sequence[int], value: Sequence[int], *__: Any, **___: Any
) -> int:
    """The scores once more, and gradients of queries, keys, probabilities and values."""
    return 2 * math.prod(query[:-1]) * key[-2] * (3 * query[-1] + 2 * value[-1])


def _vector(x: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * math.prod(x)


_formulas: dict[Any, Any] = dict(flop_registry)
for _kernel in ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention"):
    _formulas[getattr(torch.ops.aten, f"_scaled_dot_product_{_kernel}")] = shape_wrapper(_attention)
    if hasattr(torch.ops.aten, f"_scaled_dot_product_{_kernel}_backward"):
        _formulas[getattr(torch.ops.aten, f"_scaled_dot_product_{_kernel}_backward")] = shape_wrapper(
            _attention_backward
        )
_formulas |= {operator: shape_wrapper(_vector) for operator in (torch.ops.aten.mv, torch.ops.aten.dot)}
