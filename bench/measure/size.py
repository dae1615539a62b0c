"""Bytes of a candidate as it would be stored, by serialising it; nothing is written to disk."""

import hashlib
import io
from collections.abc import Mapping

import torch


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


def resident(stored: object) -> int:
    """Bytes that the tensors of a stored object (nested dicts, lists, tuples) take in memory, each storage once."""
    storages: dict[int, int] = {}
    todo = [stored]
    while todo:
        thing = todo.pop()
        if isinstance(thing, torch.Tensor):
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(thing, Mapping):
            todo += thing.values()
        elif isinstance(thing, (list, tuple)):
            todo += thing
    return sum(storages.values())
