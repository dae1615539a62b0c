"""Rule: a candidate stores all that it needs. Its bytes are read off what it stores: nothing else may hold weights."""

import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from bench.measure.size import resident
from bench.run.integrity import RuleBroken

RULE = "bytes hidden"

SLACK_BYTES = 4 * 2**20
SLACK_SHARE = 0.05
"""Positions, masks and other buffers that are made anew when a model is loaded."""

PROCESS_SLACK_BYTES = 512 * 2**20
"""What a library may keep for itself when it is first used; heap that the system does not get back."""


def check_tensors(candidate: Any, stored: object | None) -> None:
    """Raise RuleBroken if tensors that can be reached from the candidate weigh more than what it stores."""
    if stored is None:
        return
    declared, held = resident(stored), _reachable_bytes(candidate)
    if held > declared * (1 + SLACK_SHARE) + SLACK_BYTES:
        raise RuleBroken(RULE, f"the candidate holds {held / 1e6:.0f} MB of tensors and stores {declared / 1e6:.0f} MB")


def check_process(grown: float, peak: float, stored: object | None) -> None:
    """Raise RuleBroken if the process kept far more memory over the build than the candidate stores.

    grown: bytes that the process holds now and did not hold before the build; peak: of the build, as a heap that was
    large once does not shrink to nothing.
    """
    if stored is None:
        return
    declared = resident(stored)
    allowed = 2 * declared + PROCESS_SLACK_BYTES + 0.25 * peak
    if grown > allowed:
        raise RuleBroken(
            RULE,
            f"the process grew by {grown / 1e6:.0f} MB in the build, the candidate stores {declared / 1e6:.0f} MB",
        )


def _reachable_bytes(root: Any) -> int:
    """Bytes of the distinct storages of tensors and arrays that attributes, containers and closures lead to."""
    storages: dict[int, int] = {}
    for thing in _reachable(root):
        if isinstance(thing, torch.Tensor):
            if thing.layout is torch.strided and not thing.is_meta:
                storage = thing.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(thing, np.ndarray):
            base = thing
            while isinstance(base.base, np.ndarray):
                base = base.base
            storages[base.ctypes.data] = base.nbytes
        elif isinstance(thing, (bytes, bytearray)):
            storages[id(thing)] = len(thing)
    return sum(storages.values())


def _reachable(root: Any) -> Iterator[Any]:
    """Everything below `root`, apart from modules, classes and what belongs to them."""
    seen, todo = set(), [root]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, (type, types.ModuleType, str, int, float)):
            continue
        seen.add(id(thing))
        yield thing
        todo += _below(thing)


def _below(thing: Any) -> list[Any]:
    if isinstance(thing, dict):
        return [*thing.keys(), *thing.values()]
    if isinstance(thing, (list, tuple, set, frozenset)):
        return list(thing)
    if isinstance(thing, types.MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, types.FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if _filled(cell)]
        return [*cells, *(thing.__defaults__ or ())]
    below = [thing.grad] if isinstance(thing, torch.Tensor) and thing.is_leaf and thing.grad is not None else []
    if isinstance(thing, torch.Tensor) and type(thing).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        names = thing.__tensor_flatten__()[0] if hasattr(thing, "__tensor_flatten__") else ()
        below += [getattr(thing, name) for name in names]
    return [*below, *vars(thing).values()] if hasattr(thing, "__dict__") else below


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
