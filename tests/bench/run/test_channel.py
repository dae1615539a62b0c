"""What crosses between processes is plain data; whatever else comes is refused, and never run."""

import pickle
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch

from bench.run.channel import Channel, Gone, Malformed, packed, unpacked


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel, socket.socket]]:
    """Two ends, and the raw socket of the first."""
    one, other = socket.socketpair()
    yield Channel(one), Channel(other, largest=1 << 20), one
    one.close()
    other.close()


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"a": [1, -2.5, True, "ü", b"\x00"], 3: {"b": []}},
        [np.arange(6, dtype=np.int16).reshape(2, 3), np.zeros((0, 4), dtype=np.float32), np.array(2.0)],
        {"big": 2**63 - 1, "inf": float("inf")},
    ],
)
def test_plain_data_arrives_as_it_was(ends: tuple[Channel, Channel, Any], message: Any) -> None:
    ends[0].send(message)
    arrived = ends[1].receive()
    if isinstance(message, list):
        for mine, theirs in zip(message, arrived, strict=True):
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
            assert (mine == theirs).all()
            assert theirs.flags.writeable
    else:
        assert arrived == message


def test_tensors_arrive_as_arrays(ends: tuple[Channel, Channel, Any]) -> None:
    tensor = torch.arange(6.0, requires_grad=True).reshape(2, 3)
    ends[0].send([tensor.T, tensor.to(torch.bfloat16), np.float32(1.5), torch.tensor(True)])
    turned, half, number, truth = ends[1].receive()
    assert (turned == np.arange(6.0).reshape(2, 3).T).all()
    assert half.dtype == np.float32
    assert number == 1.5
    assert truth.dtype == bool


class Sneaky(torch.Tensor):
    pass


@pytest.mark.parametrize(
    "thing",
    [
        object(),
        lambda: 1,
        {1, 2},
        np.array([object()]),
        np.array(["a"]),
        Exception("x"),
        torch.zeros(2).as_subclass(Sneaky),
    ],
)
def test_nothing_else_is_sent(thing: Any) -> None:
    with pytest.raises(TypeError):
        packed([thing])


def test_an_integer_that_no_format_knows_is_refused() -> None:
    with pytest.raises((TypeError, OverflowError)):
        packed(2**70)


def test_a_pickle_stays_bytes() -> None:
    assert isinstance(unpacked(packed(pickle.dumps(print))), bytes)


def array_of(head: Any, body: bytes) -> bytes:
    import msgpack

    packed_head = packed(head)
    return bytes(msgpack.packb(msgpack.ExtType(1, struct.pack("!Q", len(packed_head)) + packed_head + body)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",  # a list of four thousand million
        b"\xc7\x01\x05a",  # a type that nobody knows
        array_of(["<f4", [3]], b"\0" * 8),
        array_of(["<f4", [-1]], b""),
        array_of(["O", [1]], b"\0" * 8),
        array_of(["<f4", [1] * 60], b"\0" * 4),
        array_of("none", b""),
        b"\x91" * 5000,
    ],
)
def test_what_is_no_message_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(Malformed):
        unpacked(body)


def test_random_bytes_are_plain_data_or_no_message() -> None:
    rng = np.random.default_rng(0)
    for _ in range(3000):
        body = rng.bytes(int(rng.integers(1, 60)))
        with suppress(Malformed):
            unpacked(body)


def test_a_message_that_is_too_large_is_not_read(ends: tuple[Channel, Channel, socket.socket]) -> None:
    ends[2].sendall(struct.pack("!Q", 1 << 60))
    with pytest.raises(Malformed, match="more than"):
        ends[1].receive()


def test_whoever_is_gone_is_said_to_be(ends: tuple[Channel, Channel, socket.socket]) -> None:
    ends[2].sendall(struct.pack("!Q", 100) + b"half of it")
    ends[0].close()
    with pytest.raises(Gone):
        ends[1].receive()
    with pytest.raises(Gone):
        ends[1].send("anybody?")
