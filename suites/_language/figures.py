"""Exact figures that are read off a language model."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

READ = 32
"""Tokens that are read to see what a cache holds of them."""


class Reads(Protocol):
    """Keeps a cache of what it has read, see ServedLM."""

    device: str

    def begin(self, ids: Tensor) -> Tensor: ...
    @property
    def cache(self) -> Any: ...


def parameters(model: nn.Module) -> int:
    """How many numbers the model stores: parameters and persistent buffers, shared ones once.

    A tensor class that stands for a quantised matrix (torchao's) counts as the matrix's elements; a buffer that packs
    several small integers into one counts as what it holds, so there trust `stored_bytes`.
    """
    distinct = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values() if torch.is_tensor(tensor)}
    return sum(tensor.numel() for tensor in distinct.values())


def kv_bytes_per_token(reader: Reads) -> float:
    """Bytes of the cache after reading READ tokens, per token: of every tensor that hangs on the cache."""
    reader.begin(torch.arange(READ, device=reader.device)[None])
    found = {tensor.data_ptr(): tensor for tensor in _tensors(reader.cache, set())}
    return sum(tensor.numel() * tensor.element_size() for tensor in found.values()) / READ


def _tensors(thing: Any, visited: set[int]) -> Iterator[Tensor]:
    """All tensors inside containers and attributes, whatever class of cache it is; modules are not entered."""
    if isinstance(thing, Tensor):
        yield thing
        return
    if id(thing) in visited or isinstance(thing, (nn.Module, type)):
        return
    visited.add(id(thing))
    if isinstance(thing, dict):
        inside: Any = thing.values()
    elif isinstance(thing, (list, tuple, set)):
        inside = thing
    else:
        inside = vars(thing).values() if hasattr(thing, "__dict__") else ()
    for part in inside:
        yield from _tensors(part, visited)
