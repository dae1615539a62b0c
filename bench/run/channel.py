"""Messages between the parties of a run: plain data alone, in frames whose size and types are checked.

What comes from a process that runs a method's code is never unpickled: msgpack knows numbers, strings, lists and
tables, and arrays come as their raw bytes with a dtype and a shape.
"""

import math
import socket
import struct
import threading
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np

LARGEST = 4 << 30
"""Bytes of a message; a batch of logits over a large vocabulary takes some hundred MiB."""

_HEAD = struct.Struct("!Q")
_ARRAY = 1
_KINDS = "biuf"
_DIMENSIONS = 32
_TENSORS = ("torch.Tensor", "torch.nn.parameter.Parameter")
"""A subclass may be anything: work that is not done yet, too."""


class Gone(Exception):
    """The other end has closed: its process ended, or was stopped."""


class Malformed(Exception):
    """What came is no message: too large, cut, or of a type that is not plain."""


class Channel:
    """One end of a connection. One thread receives; any may send."""

    def __init__(self, end: socket.socket, largest: int = LARGEST) -> None:
        self._end, self._largest = end, largest
        self._sending = threading.Lock()

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, message: Any) -> None:
        """Raises Gone where nobody listens, and TypeError for what is not plain."""
        body = packed(message)
        try:
            with self._sending:
                self._end.sendall(_HEAD.pack(len(body)))
                self._end.sendall(body)
        except OSError as error:
            raise Gone(str(error)) from error

    def receive(self) -> Any:
        """The next message. Raises Gone and Malformed."""
        (size,) = _HEAD.unpack(self._read(_HEAD.size))
        if size > self._largest:
            raise Malformed(f"a message of {size} bytes, more than {self._largest}")
        return unpacked(self._read(size))

    def ask(self, message: Any) -> Any:
        """The answer to a message."""
        self.send(message)
        return self.receive()

    def close(self) -> None:
        self._end.close()

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            try:
                count = self._end.recv_into(view, min(len(view), 1 << 24))
            except OSError as error:
                raise Gone(str(error)) from error
            if not count:
                raise Gone("the connection was closed")
            view = view[count:]
        return data


def packed(message: Any) -> bytes:
    """Raises TypeError for what is not plain."""
    found: bytes = msgpack.packb(message, default=_plain, use_bin_type=True)
    return found


def unpacked(body: bytes | bytearray) -> Any:
    """Raises Malformed."""
    try:
        return msgpack.unpackb(body, ext_hook=_extension, raw=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from error


def _plain(value: Any) -> Any:
    """Arrays, tensors and NumPy's numbers; msgpack takes the rest by itself or refuses it."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _KINDS:
            raise TypeError(f"an array of {value.dtype} is no plain data")
        head = packed([value.dtype.str, list(value.shape)])
        return msgpack.ExtType(_ARRAY, _HEAD.pack(len(head)) + head + np.ascontiguousarray(value).tobytes())
    if isinstance(value, np.generic):
        return value.item()
    if f"{type(value).__module__}.{type(value).__qualname__}" in _TENSORS:
        return _plain(as_array(value))
    raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} is no plain data")


def as_array(tensor: Any) -> np.ndarray[Any, Any]:
    """A tensor as an array on the host; half precision that NumPy lacks becomes float32."""
    import torch

    tensor = tensor.detach()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()
    found: np.ndarray[Any, Any] = tensor.cpu().numpy()
    return found


def _extension(code: int, data: bytes) -> Any:
    if code != _ARRAY:
        raise ValueError(f"unknown type {code}")
    (size,) = _HEAD.unpack_from(data)
    name, shape = unpacked(data[_HEAD.size : _HEAD.size + size])
    dtype = np.dtype(name)
    if dtype.kind not in _KINDS or len(shape) > _DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"an array of {name!r} and shape {shape!r}")
    body = data[_HEAD.size + size :]
    if len(body) != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{len(body)} bytes for an array of {dtype} and shape {shape}")
    return np.frombuffer(bytearray(body), dtype=dtype).reshape(shape)
