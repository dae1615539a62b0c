"""How the leaderboard reads a figure, and what suite.toml says of a workload."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

MARGIN = 0.02
"""A difference that does not matter, unless the metric says another; relative unless its differences are absolute."""

Difference = Literal["relative", "absolute", "log ratio"]
Goal = Literal["", "smaller", "faster", "compute", "memory", "training"]
"""What a limit on a cost is good for: fewer bytes, less time or fewer FLOPs in use; less memory or time in training."""


@dataclass(frozen=True)
class Metric:
    """A score or a cost: its title, its unit and which way is better.

    bounds: the least and the most that it can be. floor: what a guess scores that knows nothing of the data; by base
    where it hangs on the base. margin: a difference that does not matter.
    difference: how two methods are compared: "relative", as a share of the other's value; "absolute", in its own unit,
    for what is near zero or of either sign; "log ratio", item by item, for positive items of which few are huge.
    own_items: True where the items are the run's own (its training steps), so that runs may differ in how many.
    about: what it is, a sentence for people who don't know. goal: of a cost, why somebody limits it; or empty.
    """

    name: str
    title: str
    unit: str = ""
    better: str = "lower"
    primary: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)
    floor: float | Mapping[str, float] | None = None
    margin: float = MARGIN
    difference: Difference = "relative"
    own_items: bool = False
    about: str = ""
    goal: Goal = ""

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher"):
            raise ValueError(f'{self.name}: better is {self.better!r}; write "lower" or "higher"')
        if self.difference not in get_args(Difference):
            raise ValueError(f"{self.name}: difference is {self.difference!r}; write one of {get_args(Difference)}")
        if self.goal not in get_args(Goal):
            raise ValueError(f"{self.name}: goal is {self.goal!r}; write one of {get_args(Goal)[1:]}")
        if len(self.bounds) != 2 or not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"{self.name}: bounds are {self.bounds!r}; write [least, most], inf where there is none")
        if not self.margin > 0:
            raise ValueError(f"{self.name}: margin is {self.margin!r}; it has to be more than 0")
        for floor in self.floor.values() if isinstance(self.floor, Mapping) else [self.floor]:
            if floor is not None and not self.bounds[0] <= floor <= self.bounds[1]:
                raise ValueError(f"{self.name}: the floor {floor!r} lies outside of its bounds {list(self.bounds)}")

    @classmethod
    def read(cls, name: str, data: Mapping[str, Any]) -> "Metric":
        """As suite.toml writes it. Raises ValueError, and TypeError for a key that there is not."""
        bounds = {"bounds": tuple(float(end) for end in data["bounds"])} if "bounds" in data else {}
        return cls(name, **{**data, **bounds})

    def as_primary(self, primary: bool = True) -> "Metric":
        return replace(self, primary=primary)

    def guess(self, base: str) -> float | None:
        """The floor for runs from a base; None where none is stated."""
        return self.floor.get(base) if isinstance(self.floor, Mapping) else self.floor


@dataclass(frozen=True)
class WorkloadInfo:
    """A workload. unit: what its steps count ("token"). phases: name -> title of its times. batch: whether its best
    batch is searched for. training: whether what a candidate was trained on is stepped, instead of the candidate."""

    name: str
    title: str
    unit: str = "call"
    phases: Mapping[str, str] = field(default_factory=dict)
    batch: bool = False
    training: bool = False

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError(f'workload {self.name} has no phases: say {{ phase = "its title" }}')
