"""What is global in a process stays what it is: functions and classes of the libraries, hooks on all modules, settings.

Another process would not feel it if they were changed, and a candidate's own server hardly gains by it; but what is
shipped must run beside other models, and a patched library in a process that is timed makes nobody trust its stamps.
Held by identity, taken before the artefact is read.
"""

import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import torch

SEALED = (
    "gc", "psutil", "time", "torch", "torch._tensor", "torch.cuda", "torch.functional", "torch.nn.functional",
    "torch.nn.modules.linear", "torch.nn.modules.module", "torch.nn.modules.normalization", "torch.nn.modules.sparse",
    "torch.serialization", "torch.utils.flop_counter",
)  # fmt: skip
"""Modules whose functions and classes measure, or are what models are made of."""

OURS = ("bench.", "suites.")
"""And all that is there of these packages."""

OF_TORCH = ("addmm", "bmm", "cat", "inference_mode", "matmul", "mm", "no_grad", "save", "softmax")
"""What is sealed of the module torch itself, which changes some of its functions on its own."""

_CLASSES = (torch.Tensor, torch.nn.Module, torch.nn.Linear, torch.nn.Embedding, torch.nn.LayerNorm, torch.nn.Conv2d)
"""That must not even get something new."""

_BY_LIBRARIES = {"__slotnames__", "smart_apply"}
"""What libraries themselves put there when they are first used: to copy or write an object, to make a transformers
model."""


class Seal:
    """Taken before a method's code runs in the process."""

    def __init__(self) -> None:
        self._held = list(_entries())
        self._names = {cls: set(vars(cls)) for cls in _CLASSES}
        self._settings = _settings()

    def broken(self) -> str | None:
        """The first thing that is not what it was, or None."""
        for owner, label, name, value, code in self._held:
            now = vars(owner).get(name)
            if now is not value or (code is not None and now.__code__ is not code):
                return f"{label}.{name} is not what it was"
        for cls, names in self._names.items():
            if added := sorted(set(vars(cls)) - names - _BY_LIBRARIES):
                return f"{cls.__name__} has got {added[0]!r}"
        for name, value in _settings().items():
            if value != self._settings[name]:
                return f"{name} was {self._settings[name]} and is {value}"
        return None


def _entries() -> Iterator[tuple[Any, str, str, Any, Any]]:
    """(owner, label, attribute, value, code) of what is held."""
    for name, module in sorted(sys.modules.items()):
        if isinstance(module, ModuleType) and (name in SEALED or name.startswith(OURS)):
            yield from _of_module(name, module)


def _of_module(name: str, module: ModuleType) -> Iterator[tuple[Any, str, str, Any, Any]]:
    for attribute, value in list(vars(module).items()):
        if attribute.startswith("__") or (name == "torch" and attribute not in OF_TORCH):
            continue
        if callable(value):
            yield module, name, attribute, value, getattr(value, "__code__", None)
        if isinstance(value, type) and value.__module__ == name:
            for inner, member in list(vars(value).items()):
                if isinstance(member, (FunctionType, property, staticmethod, classmethod)):
                    yield value, f"{name}.{attribute}", inner, member, getattr(member, "__code__", None)


def _settings() -> dict[str, Any]:
    hooks = torch.nn.modules.module
    return {
        "hooks on all modules": sum(
            len(getattr(hooks, name))
            for name in ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks")
        ),
        "the number of threads": torch.get_num_threads(),
        "the default type": torch.get_default_dtype(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "modes of dispatch": len(torch.utils._python_dispatch._get_current_dispatch_mode_stack()),
    }
