"""How the leaderboard reads a figure, and what suite.toml says of a workload."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Metric:
    """A score or a cost: its title, its unit and which way is better."""

    name: str
    title: str
    unit: str = ""
    better: str = "lower"
    primary: bool = False

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher"):
            raise ValueError(f'{self.name}: better is {self.better!r}; write "lower" or "higher"')

    def as_primary(self, primary: bool = True) -> "Metric":
        return replace(self, primary=primary)


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
