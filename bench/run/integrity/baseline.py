"""Rule: the baseline stays what it is: its weights, its hooks, the functions that it runs."""

from typing import Any

from torch import nn

from bench.measure.size import serialised
from bench.run.integrity import RuleBroken

RULE = "baseline altered"
_ADVICE = "methods copy the model before they change it"


class BaselineGuard:
    """Remembers a baseline. stored: what would be written to disk to ship it, or None if there is no such thing."""

    def __init__(self, baseline: Any, stored: object | None) -> None:
        self._baseline, self._stored = baseline, stored
        self._weights = self._digest()
        self._structure = _structure(baseline)

    def check(self) -> None:
        """Raise RuleBroken if weights or structure are not those of the beginning."""
        if _structure(self._baseline) != self._structure:
            raise RuleBroken(RULE, f"its modules, hooks or functions changed; {_ADVICE}")
        if self._digest() != self._weights:
            raise RuleBroken(RULE, f"its weights changed; {_ADVICE}")

    def _digest(self) -> str | None:
        return None if self._stored is None else serialised(self._stored)[1]


def _structure(baseline: Any) -> list[tuple[Any, ...]]:
    """By module: its class, the functions that it runs and its hooks, compared by identity."""
    if not isinstance(baseline, nn.Module):
        return [(type(baseline), *sorted(vars(type(baseline)).items(), key=lambda item: item[0]))]
    return [
        (
            name,
            type(module),
            type(module).forward,
            type(module).__call__,
            module.__dict__.get("forward"),
            module.training,
            *(tuple(getattr(module, hooks)) for hooks in _HOOKS),
        )
        for name, module in baseline.named_modules()
    ]


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
