"""Linear layers that are replaced by modules of a method's own."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from torch import nn

Kind = TypeVar("Kind", bound=nn.Module)


def replaced(model: Any, targets: Sequence[str], make: Callable[[nn.Linear], nn.Module]) -> Any:
    """`model` itself, with make(layer) in the place of each of these layers."""
    for name in targets:
        model.set_submodule(name, make(model.get_submodule(name)))
    return model


def found(model: Any, kind: type[Kind]) -> dict[str, Kind]:
    """Its modules of this class, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, kind)}
