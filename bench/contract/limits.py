"""Operating points: named, fixed budgets. The numbers are data in suite.toml; the runner enforces them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


class OverBudget(Exception):
    """A limit of the operating point was passed: the record says which one, the figure and the limit."""

    def __init__(self, limit: str, value: float, allowed: float) -> None:
        super().__init__(f"{limit}: {value:.6g} is over the limit of {allowed:.6g}")
        self.limit, self.value, self.allowed = limit, value, allowed


@dataclass(frozen=True)
class Limits:
    """Fixed budget of one operating point.

    result: upper limits on figures and scores of the result, by name (e.g. {"stored_ratio": 0.5}).
    build_seconds, build_memory_bytes: limits on getting there, of the builder's whole process tree: processor seconds
        (on a GPU wall seconds), since others may be on the machine; peak memory above the level before the build.
    supplies: how much may be drawn by each meter (e.g. {"calibration_tokens": 32768}).
    A limit that is absent does not bind.
    """

    result: Mapping[str, float] = field(default_factory=dict)
    build_seconds: float | None = None
    build_memory_bytes: float | None = None
    supplies: Mapping[str, int] = field(default_factory=dict)

    def check_result(self, figures: Mapping[str, float], later: Collection[str] = ()) -> None:
        """Raise OverBudget for the first figure over its limit. later: names of figures that are measured afterwards.

        Raises KeyError if a limited figure is neither there nor among those.
        """
        for name, allowed in self.result.items():
            if name in figures and not figures[name] <= allowed:  # so that not-a-number is over
                raise OverBudget(name, figures[name], allowed)
            if name not in figures and name not in later:
                raise KeyError(f"the limit on {name!r} can't be checked: the suite measures no such figure or score")

    def times(self, factors: Mapping[str, float]) -> "Limits":
        """The same result for another build: so many times the seconds, memory_bytes and supplies, by name."""
        return replace(
            self,
            build_seconds=self.build_seconds and self.build_seconds * factors.get("seconds", 1),
            build_memory_bytes=self.build_memory_bytes and self.build_memory_bytes * factors.get("memory_bytes", 1),
            supplies={name: int(amount * factors.get(name, 1)) for name, amount in self.supplies.items()},
        )

    def excess(self, figures: Mapping[str, float]) -> float:
        """By how much the tightest limit is passed, as a fraction of it; 0 or less is within."""
        return max((figures[name] / allowed - 1 for name, allowed in self.result.items()), default=0.0)

    def met_by(self, figures: Mapping[str, float]) -> bool:
        """Whether every limited figure is within its limit."""
        return all(figures[name] <= allowed for name, allowed in self.result.items())


@dataclass(frozen=True)
class OperatingPoint:
    """A named budget on a problem of the suite: how much, where the problem says what.

    settings: for the problem. clock: a time decides how much is done, so that scores hang on the hardware.
    allowances: scale -> how many times the build limits hold there: larger models need more of everything.
    """

    name: str
    title: str
    problem: str
    limits: Limits
    settings: Mapping[str, Any] = field(default_factory=dict)
    clock: bool = False
    allowances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def at(self, scale: str) -> "OperatingPoint":
        """The point with the limits that hold at a scale."""
        return replace(self, limits=self.limits.times(self.allowances.get(scale, {})), allowances={})
