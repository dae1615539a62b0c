"""Exact figures that are read off a candidate."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from suites._language.workloads import Decoding


def parameters(model: nn.Module) -> int:
    """How many numbers the model stores: parameters and persistent buffers, shared ones once.

    A tensor class that stands for a quantised matrix (torchao's) counts as the matrix's elements; a buffer that packs
    several small integers into one counts as what it holds, so there trust `stored_bytes`.
    """
    distinct = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values() if torch.is_tensor(tensor)}
    return sum(tensor.numel() for tensor in distinct.values())


def kv_bytes_per_token(model: Any, ids: Tensor) -> float:
    """Bytes of the cache after reading ids (1, tokens), per token: of every tensor that hangs on the cache."""
    decoding = Decoding(model)
    decoding.read(ids)
    found = {tensor.data_ptr(): tensor for tensor in _tensors(decoding.cache, set())}
    return sum(tensor.numel() * tensor.element_size() for tensor in found.values()) / ids.shape[1]


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
