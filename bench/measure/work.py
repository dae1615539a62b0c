"""The least that a call must do: FLOPs that it executes, and bytes that it cannot do without reading.

Both make a floor under its time (bench/measure/roofline.py), so in doubt they count too little:

- bytes: what the operands of products (matrix products, convolutions, attention) take where they lay before the call:
  weights as they are stored, caches, inputs. Each byte once, however often and by however many views it is read. What
  the call itself made is not counted: it may have stayed in a cache, or fused code never wrote it. But what it was made
  of is, where that had to be read whole: quantised weights that are widened before the product, a cache that is copied.
  Lookups count the rows that they give.
- FLOPs: as bench/measure/flops.py counts them, less what a kernel may leave out: the masked half of causal attention,
  all of attention under a mask of its own, all of products with a sparse operand.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.measure.flops import count_operators, flops_of, is_product
from bench.measure.regions import Region, distinct_bytes, fills_storage, region, rows, storage_address
from bench.measure.size import tensors_in

_PACKED: torch.layout = torch._mkldnn  # type: ignore[attr-defined]
_COPIES = {"_to_copy", "to", "clone", "contiguous", "cat", "concat", "stack", "reshape", "flatten", "copy_"}
"""Operators, beside the pointwise ones, that need all of their operands to make what they make."""
_PICKS = {"where", "masked_fill", "masked_fill_"}
"""Pointwise, but may leave operands unread."""


@dataclass(frozen=True)
class Work:
    """What a call must at least execute and read: FLOPs, bytes. products, elementwise: FLOPs as they are reported,
    whatever a kernel may leave out of them."""

    flops: float
    bytes: float
    products: float = 0.0
    elementwise: float = 0.0


def count_work(run: Callable[[], object]) -> Work:
    """Run once and count. Raises bench.measure.flops.UncountedOperatorError as count_operators does."""
    with _Traffic() as traffic:
        flops = count_operators(run)
    return Work(
        flops.products - traffic.avoidable_flops,
        distinct_bytes(traffic.read) + sum(traffic.opaque.values()),
        float(flops.products),
        float(flops.elementwise),
    )


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator and collects what must be read of what was there before the call.

    read: regions. opaque: bytes of operands whose memory can't be seen, by id. avoidable_flops: what a kernel may leave
    out of the products that ran.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.read: set[Region] = set()
        self.opaque: dict[int, int] = {}
        self.avoidable_flops = 0.0
        self._made: dict[int, set[Region]] = {}  # storage made by the call -> regions that it is made of
        self._written: set[int] = set()  # storages from before the call that it has written into

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        call = _Call(func, args, kwargs)
        out = func(*args, **kwargs)
        if is_product(func.overloadpacket):
            for operand in call.product_operands():
                self.read |= self._origin(operand)
            self.opaque |= call.opaque_operands()
            share = call.avoidable_share()
            if share:
                self.avoidable_flops += share * flops_of(func, args, kwargs, out)
        else:
            for table, indices in call.lookups():
                if self._origin(table):
                    self.read |= rows(table, indices)
        self._remember(call, out)
        return out

    def _origin(self, operand: Tensor) -> set[Region]:
        """The regions from before the call that must have been read to have this operand."""
        storage = storage_address(operand)
        if storage == 0 or storage in self._written:
            return set()
        if storage in self._made:
            return self._made[storage] if fills_storage(operand) else set()
        return {region(operand)}

    def _remember(self, call: "_Call", out: Any) -> None:
        """Which storages are the call's own from now on, and what they are made of."""
        written, given = call.written(), call.given()
        sources: set[Region] = set()
        if call.needs_all:
            sources = sources.union(*map(self._origin, given))
        known = {storage_address(tensor) for tensor in (*written, *given)}
        for tensor in tensors_in(out):
            if storage_address(tensor) not in known:
                self._made[storage_address(tensor)] = sources
        for tensor in written:
            storage = storage_address(tensor)
            if storage not in self._made:
                self._written.add(storage)
            elif call.needs_all and fills_storage(tensor):
                self._made[storage] = sources if call.overwrites else self._made[storage] | sources
            else:
                self._made[storage] = set()


class _Call:
    """One call of an operator, its arguments by name."""

    def __init__(self, func: Any, args: Any, kwargs: Any) -> None:
        self.name: str = func.overloadpacket.__name__
        self.schema = func._schema.arguments
        self.named: dict[str, Any] = dict(zip((argument.name for argument in self.schema), args, strict=False)) | kwargs
        pointwise = torch.Tag.pointwise in func.tags and self.name not in _PICKS
        self.needs_all = pointwise or self.name in _COPIES

    @property
    def overwrites(self) -> bool:
        """Whether what is written into is not also read: out=, copy_."""
        return self.name == "copy_" or not self.name.endswith("_")

    def written(self) -> list[Tensor]:
        """Operands that the operator writes into."""
        return [tensor for argument in self.schema if _is_written(argument) for tensor in self._of(argument.name)]

    def given(self) -> list[Tensor]:
        """Operands that it only reads."""
        return [tensor for argument in self.schema if not _is_written(argument) for tensor in self._of(argument.name)]

    def _of(self, name: str) -> Iterator[Tensor]:
        return tensors_in(self.named.get(name))

    def product_operands(self) -> list[Tensor]:
        """What a product can't do without."""
        if "attention" not in self.name:
            return self.given()
        if self._unknown_attention():
            return []
        query, key, value = (self.named[name] for name in ("query", "key", "value"))
        if self.named.get("is_causal"):  # keys behind the last query are never looked at
            key, value = (kept.narrow(-2, 0, min(kept.shape[-2], query.shape[-2])) for kept in (key, value))
        return [tensor for operand in (query, key, value) for tensor in tensors_in(operand)]

    def opaque_operands(self) -> dict[int, int]:
        """Bytes, by id, of operands whose memory can't be seen: packed for a library's kernels."""
        found = {}
        for leaf in tree_leaves(list(self.named.values())):
            if isinstance(leaf, torch.ScriptObject) and hasattr(leaf, "unpack"):
                weight = leaf.unpack()[0]
                found[id(leaf)] = weight.numel() * (weight.element_size() if weight.is_quantized else 2)
            elif isinstance(leaf, Tensor) and leaf.layout == _PACKED:
                found[id(leaf)] = leaf.numel() * leaf.element_size()
        return found

    def avoidable_share(self) -> float:
        """Part of the counted FLOPs that a kernel may leave out."""
        if any(isinstance(leaf, Tensor) and _is_sparse(leaf) for leaf in tree_leaves(list(self.named.values()))):
            return 1.0
        if "attention" not in self.name:
            return 0.0
        if self._unknown_attention():
            return 1.0
        if not self.named.get("is_causal"):
            return 0.0
        queries, keys = self.named["query"].shape[-2], self.named["key"].shape[-2]
        full = max(0, queries - keys)  # queries that see all keys, at the end
        seen = full * keys + (queries - full) * (queries - full + 1) / 2
        return float(1 - seen / (queries * keys))

    def _unknown_attention(self) -> bool:
        """Attention of which we can't tell what it skips: under a mask, or by another library's operator."""
        masked = isinstance(self.named.get("attn_mask"), Tensor) or isinstance(self.named.get("attn_bias"), Tensor)
        return masked or not self.name.startswith("_scaled_dot_product")

    def lookups(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(table, numbers of the rows), where whole rows of a table are taken."""
        table, indices = self.named.get("self"), None
        if self.name == "embedding":
            table, indices = self.named["weight"], self.named["indices"]
        elif self.name == "index" and len(self.named["indices"]) == 1:
            indices = self.named["indices"][0]
        elif self.name == "index_select" and self.named["dim"] == 0:
            indices = self.named["index"]
        if isinstance(indices, Tensor) and indices.dtype != torch.bool:
            for plain in tensors_in(table):
                yield plain, indices


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _is_sparse(tensor: Tensor) -> bool:
    return tensor.layout not in {torch.strided, _PACKED}
