"""A candidate on disk: what is shipped. Its bytes are the stored bytes, and whoever serves it has nothing else.

The format is PyTorch's own, a zip of raw tensors and a pickle of what holds them, but that the pickle is deflated: how
wordy Python's pickles are says nothing of a method. Nor does which parameters a training left wanting gradients: those
of a candidate are written as wanting none.
"""

import io
import pickle
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

FORMAT = 3
"""Raised when artefacts are written otherwise: kept ones are then made again."""

CANDIDATE, RIG = "candidate.pt", "rig.pt"


class CantBeShipped(RuntimeError):
    """A candidate can't be written to disk, or not be read again; the message says what of it."""


def write(thing: Any, path: Path, *, trains: bool = False) -> int:
    """Bytes on disk. Storage that is shared is written once; a view of a larger storage drags all of it along.
    trains: it goes on training, as a rig does, so that parameters keep what they want.

    Raises CantBeShipped, and OSError where the disk is full.
    """
    # By a file object: by a path its name would stand in front of every tensor, and change the size.
    with path.open("wb") as file:
        _save(thing, file, _Deflated if trains else _DeflatedCandidate)
    return path.stat().st_size


def weight(thing: Any) -> int:
    """The bytes that `write` would take. Raises CantBeShipped."""
    sink = _Sink()
    _save(thing, sink, _DeflatedCandidate)
    return sink.bytes


def read(path: Path, device: str) -> Any:
    """What was written. Imports the classes that it is made of, so that a method's code runs. Raises CantBeShipped."""
    try:
        return torch.load(path, map_location=device, weights_only=False, pickle_module=_Deflated)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a class may do anything when it is loaded
        raise CantBeShipped(f"the artefact can't be loaded: {type(error).__name__}: {error}") from error


class _Sink(io.RawIOBase):
    def __init__(self) -> None:
        self.bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        count = memoryview(data).nbytes
        self.bytes += count
        return count


def _save(thing: Any, file: Any, how: Any) -> None:
    try:
        torch.save(thing, file, pickle_module=how)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # pickle and the classes that it asks have errors of every kind
        raise CantBeShipped(
            f"the candidate can't be written to disk: {type(error).__name__}: {error}; it may hold no functions made "
            "on the way (lambdas, closures), no open files and no generators"
        ) from error


class _Pickler(pickle.Pickler):
    """Writes what it pickles in one piece, deflated."""

    def __init__(self, file: Any, protocol: int | None = None) -> None:
        self._whole, self._file = io.BytesIO(), file
        super().__init__(self._whole, protocol)

    def dump(self, thing: Any) -> None:
        super().dump(thing)
        self._file.write(zlib.compress(self._whole.getvalue(), 9))


class _CandidatePickler(_Pickler):
    def reducer_override(self, thing: Any) -> Any:
        if type(thing) is nn.Parameter and thing.requires_grad:
            rebuild, (data, _, *rest) = thing.__reduce_ex__(pickle.DEFAULT_PROTOCOL)  # type: ignore[no-untyped-call]
            return rebuild, (data, False, *rest)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, **options: Any) -> None:
        super().__init__(io.BytesIO(zlib.decompress(file.read())), **options)


class _Deflated:
    """Stands in the place of the module pickle: what torch.save and torch.load ask of a pickle module."""

    Pickler, Unpickler = _Pickler, _Unpickler
    dumps, loads = staticmethod(pickle.dumps), staticmethod(pickle.loads)
    __name__ = "pickle"


class _DeflatedCandidate(_Deflated):
    Pickler = _CandidatePickler
