"""Data that a method may draw, under a meter."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.contract.limits import Limits, OverBudget


class Supply(ABC):
    """A supply, with whoever holds the data. meter: what is counted, e.g. "calibration_tokens"; None where nothing is
    (what may be looked at as often as one likes)."""

    meter: str | None = None

    @abstractmethod
    def __len__(self) -> int:
        """How much there is: tokens, examples, images."""

    @abstractmethod
    def take(self, wanted: Any) -> Any:
        """What is asked for, plain data for plain data (a list of numbers, a pair of ends). Raises ValueError for what
        there is not."""

    def amount(self, wanted: Any) -> int:
        """What that costs on the meter."""
        return len(wanted)


class Drawn(Protocol):
    """A supply as a task sees it: here, or by way of another process that keeps the meter."""

    def __len__(self) -> int: ...

    def take(self, wanted: Any) -> Any:
        """As of Supply. Raises OverBudget where that would be more than the operating point allows."""


@dataclass
class Meter:
    """How much of each supply has been drawn. limits: what may be."""

    limits: Limits
    drawn: Counter[str] = field(default_factory=Counter)

    def charge(self, name: str, amount: int) -> None:
        """Raises OverBudget where that is too much; the meter shows it nevertheless."""
        self.drawn[name] += amount
        allowed = self.limits.supplies.get(name)
        if allowed is not None and self.drawn[name] > allowed:
            raise OverBudget(name, self.drawn[name], allowed)

    def left(self, name: str) -> int | None:
        """How much may still be drawn; None where there is no limit."""
        allowed = self.limits.supplies.get(name)
        return None if allowed is None else max(0, allowed - self.drawn[name])


@dataclass(frozen=True)
class AtHand:
    """A supply in this very process."""

    supply: Supply
    meter: Meter

    def __len__(self) -> int:
        return len(self.supply)

    def take(self, wanted: Any) -> Any:
        if self.supply.meter is not None:
            self.meter.charge(self.supply.meter, self.supply.amount(wanted))
        return self.supply.take(wanted)
