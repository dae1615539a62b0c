"""Steps captured as CUDA graphs: the same work without the host's part in launching it."""

from collections.abc import Callable
from typing import Any

import torch

_WARM_UP_RUNS = 3  # on a side stream, before the capture, as cuBLAS and cuDNN make their workspaces in the first calls


class CapturedStep:
    """A call whose kernels were recorded once; `replay` runs them again on what `load` put into their inputs."""

    def __init__(self, call: Callable[..., Any], inputs: tuple[Any, ...], device: str) -> None:
        """Raises RuntimeError where the call can't be captured."""
        self._inputs = _map(inputs, torch.Tensor.clone)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_RUNS):
                call(*self._inputs)
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result = call(*self._inputs)

    def load(self, inputs: tuple[Any, ...]) -> None:
        """Copy fresh inputs to where the kernels read."""
        for mine, fresh in zip(_tensors(self._inputs), _tensors(inputs), strict=True):
            mine.copy_(fresh)

    def replay(self) -> Any:
        """The result; the next replay overwrites it."""
        self._graph.replay()
        return self._result


def _map(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _map(each, change) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_map(each, change) for each in value))
    if isinstance(value, list | tuple):
        return type(value)(_map(each, change) for each in value)
    return value


def _tensors(value: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        found.append(tensor)
        return tensor

    _map(value, note)
    return found
