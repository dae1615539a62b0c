"""A candidate that answers: the only door through which it is asked."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np

CandidateT = TypeVar("CandidateT")


class Served(Generic[CandidateT]):
    """A candidate in the process that loaded it. A problem derives from it what its candidates can be asked.

    A public method is a call that the judge may make from another process: it takes and returns plain data (numbers,
    strings, arrays, and lists, tuples and dicts of them). Tensors are given in the place of arrays, on the device;
    and those that are returned arrive as arrays.
    """

    def __init__(self, candidate: CandidateT, device: str) -> None:
        self.candidate, self.device = candidate, device

    def figures(self) -> Mapping[str, float]:
        """Exact figures that can be read off the candidate, e.g. {"parameters": ..., "kv_bytes_per_token": ...}."""
        return {}

    def resident(self) -> Any:
        """What holds the candidate's tensors while it serves: for their bytes in memory."""
        return self.candidate

    def place(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Inputs of a timed call, made ready before the clock starts: arrays become tensors on the device."""
        return tuple(_placed(each, self.device) for each in inputs)


def _placed(value: Any, device: str) -> Any:
    import torch

    if isinstance(value, np.ndarray):
        return torch.from_numpy(value).to(device)
    if isinstance(value, dict):
        return {name: _placed(each, device) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_placed(each, device) for each in value)
    return value
