"""Bytes of a candidate as it would be stored, by serialising it; nothing is written to disk."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves


class _Sink(io.RawIOBase):
    """Counts and hashes what is written to it."""

    def __init__(self) -> None:
        self.bytes = 0
        self.hash = hashlib.blake2b(digest_size=16)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self.bytes += view.nbytes
        self.hash.update(view)
        return view.nbytes


def serialised(stored: object) -> tuple[int, str]:
    """(bytes, digest) of the object as torch.save writes it. Storage that is shared is written and counted once;
    a view of a larger storage drags the whole storage along, as it would on disk. Equal objects have equal digests."""
    sink = _Sink()
    torch.save(stored, sink)  # type: ignore[arg-type]  # any object with write() will do
    return sink.bytes, sink.hash.hexdigest()


def resident(held: object) -> int:
    """Bytes that the tensors in an object take in memory, each storage once. Looked into are nested dicts, lists and
    tuples, modules (parameters and buffers) and the fields of dataclasses."""
    storages: dict[int, int] = {}
    todo = [held]
    while todo:
        thing = todo.pop()
        if isinstance(thing, torch.Tensor):
            for plain in tensors_in(thing):
                storage = plain.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(thing, torch.nn.Module):
            todo += [*thing.parameters(), *thing.buffers()]
        elif isinstance(thing, Mapping):
            todo += thing.values()
        elif isinstance(thing, (list, tuple)):
            todo += thing
        elif is_dataclass(thing):
            todo += [getattr(thing, field.name) for field in fields(thing)]
    return sum(storages.values())


def tensors_in(value: object) -> Iterator[torch.Tensor]:
    """The tensors with memory behind a value (a tensor, or nested lists and dicts of them): of those that wrap others,
    and of compressed sparse ones, the parts."""
    for leaf in tree_leaves(value):
        if not isinstance(leaf, torch.Tensor):
            continue
        if is_traceable_wrapper_subclass(leaf):
            names, _ = leaf.__tensor_flatten__()
            yield from tensors_in([getattr(leaf, name) for name in names])
        elif leaf.layout in {torch.sparse_csr, torch.sparse_bsr}:
            yield from (leaf.crow_indices(), leaf.col_indices(), leaf.values())
        elif leaf.layout == torch.strided:
            yield leaf
