"""Weighs candidates: each figure that is asked for, and no other. The builder's `task.weigh` and the judge's check."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.contract import Built, Problem, Task
from bench.measure.flops import count_operators
from bench.measure.ratios import ratio_of
from bench.run.artefact import weight

ELEMENTWISE = "elementwise_flops"
"""Figure of the baseline: elementwise work per unit, beyond which a candidate's is counted."""


@dataclass(frozen=True)
class Scale:
    """reference: the figures of the baseline, which ratios are to."""

    problem: Problem[Any, Any]
    task: Task
    reference: Mapping[str, float]

    def weigh(self, candidate: Any) -> "Weighed":
        return Weighed(self, candidate if isinstance(candidate, Built) else Built(candidate))


@dataclass(frozen=True, eq=False)
class Weighed(Mapping[str, float]):
    """Figures of a candidate by name, each found out when it is first asked for; ratios as `ratio_of` says, unless the
    problem says them itself. Listed are those that a limit names."""

    scale: Scale
    built: Built

    def __getitem__(self, name: str) -> float:
        found = self._absolute(name)
        if found is None:
            found = ratio_of(name, self._absolute, self.scale.reference)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.scale.task.limits.result if self._is_known(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _is_known(self, name: str) -> bool:
        try:
            self[name]
        except KeyError:
            return False
        return True

    def _absolute(self, name: str) -> float | None:
        if name == "stored_bytes":
            return self._stored_bytes
        if name == "flops":
            return self._flops
        if name in self._read_off:
            return self._read_off[name]
        return self._of_the_rig.get(name, self.built.figures.get(name))

    @cached_property
    def _stored_bytes(self) -> float:
        return float(weight(self.built.candidate))

    @cached_property
    def _served(self) -> Any:
        return self.scale.problem.serve(self.built.candidate, self.scale.task)

    @cached_property
    def _flops(self) -> float | None:
        return flops_of_step(self.scale.problem, self.scale.task, self._served, self.scale.reference)

    @cached_property
    def _read_off(self) -> Mapping[str, float]:
        return dict(self._served.figures())

    @cached_property
    def _of_the_rig(self) -> Mapping[str, float]:
        if self.built.rig is None:
            return {}
        return dict(self.scale.problem.serve_rig(self.built.rig, self.scale.task).figures())


def flops_of_step(problem: Problem[Any, Any], task: Task, served: Any, reference: Mapping[str, float]) -> float | None:
    """Counted per unit of the problem's step, as the judge does; None where it counts none. Raises
    UncountedOperatorError."""
    step = problem.counted(task)
    if step is None:
        return None
    inputs = served.place(step.inputs)
    run: Callable[..., Any] = getattr(served, step.call)
    counted = count_operators(lambda: run(*inputs))
    return counted.beyond(reference.get(ELEMENTWISE, 0.0) * step.units) / step.units
