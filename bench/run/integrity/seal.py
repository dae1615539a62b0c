"""Rule: the clock, the instruments and the suite stay what they are: their functions are those of the start.

Held by identity: a function or class of a sealed module, and a constant of the engine or of the suite, must be the very
object that it was before the method was imported, with the same code. What a method adds elsewhere is its own business.
"""

import sys
from collections.abc import Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

from bench.run.integrity import RuleBroken

RULE = "instruments altered"

SEALED = (
    "bench", "gc", "lm_eval", "psutil", "time", "torch", "torch._tensor", "torch.cuda", "torch.functional",
    "torch.nn.functional", "torch.nn.modules.linear", "torch.nn.modules.module", "torch.nn.modules.normalization",
    "torch.nn.modules.sparse", "torch.serialization", "torch.utils.flop_counter",
)  # fmt: skip
"""Modules whose functions measure, score or make the baseline; "bench" and "lm_eval" with all that lies under them."""

OF_TORCH = ("addmm", "bmm", "cat", "inference_mode", "matmul", "mm", "no_grad", "save", "softmax")
"""What is sealed of the module torch itself, which changes some of its functions on its own."""

_CONSTANT = (int, float, str, bytes, tuple, frozenset)


class Seal:
    """Taken when the engine and the suite are imported and the method is not. packages: of the suite."""

    def __init__(self, packages: Sequence[str], apart_from: Sequence[str] = ()) -> None:
        """apart_from: modules in those packages that are the method's own."""
        self._held = [
            entry
            for name, module in sorted(sys.modules.items())
            if isinstance(module, ModuleType) and _sealed(name, packages) and name not in apart_from
            for entry in _entries(name, module, constants=_ours(name, packages))
        ]

    def check(self) -> None:
        """Raise RuleBroken, naming the first function that is not what it was."""
        for owner, label, name, value, code in self._held:
            now = vars(owner).get(name)
            if now is not value or (code is not None and now.__code__ is not code):
                raise RuleBroken(RULE, f"{label}.{name} is not what it was when the run began")


def _sealed(name: str, packages: Sequence[str]) -> bool:
    return name in SEALED or name.startswith("lm_eval.") or _ours(name, packages)


def _ours(name: str, packages: Sequence[str]) -> bool:
    return name.startswith(("bench.", *(f"{package}." for package in packages)))


def _entries(name: str, module: ModuleType, constants: bool) -> Iterator[tuple[Any, str, str, Any, Any]]:
    """(owner, label, attribute, value, code) of what is held of a module and of the classes that it defines."""
    for attribute, value in list(vars(module).items()):
        if attribute.startswith("__") or (name == "torch" and attribute not in OF_TORCH):
            continue
        if callable(value) or (constants and isinstance(value, _CONSTANT)):
            yield module, name, attribute, value, getattr(value, "__code__", None)
        if isinstance(value, type) and value.__module__ == name:
            for inner, member in list(vars(value).items()):
                if isinstance(member, (FunctionType, property, staticmethod, classmethod)):
                    yield value, f"{name}.{attribute}", inner, member, getattr(member, "__code__", None)
