"""A run with its three parties in one process: what each of them has, without the border between them.

What would cross the border still goes through the format of its messages, so that what is not plain is found out.
"""

import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor, nn

from bench.contract import Built, Meter, OverBudget, Problem, Score, Served, Setting, Step, Supply, Task
from bench.contract.supply import AtHand
from bench.measure.ratios import ratio_of
from bench.measure.side import SideHere
from bench.registry import Registry
from bench.run import artefact
from bench.run.channel import as_array, packed, unpacked
from bench.run.figures import figures_of
from bench.run.order import Order
from bench.run.plan import Job
from bench.run.runner import planned
from bench.run.weigh import Scale

ENGINE = {each.name for each in fields(Task)}
"""Of a task: set by the engine, for the run."""


def across(value: Any) -> Any:
    """As it arrives in another process. Raises TypeError for what is not plain."""
    return unpacked(packed(value))


@dataclass(frozen=True)
class SupplyAcross(AtHand):
    def take(self, wanted: Any) -> Any:
        return across(super().take(across(wanted)))


@dataclass(frozen=True)
class Remote:
    """What the judge has of what is served."""

    served: Served[Any]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(type(self.served), name):
            raise AttributeError(f"{type(self.served).__name__} has no call {name!r}")

        def call(*arguments: Any, **named: Any) -> Any:
            return across(getattr(self.served, name)(*across(list(arguments)), **across(named)))

        return call


@dataclass
class SideAcross(SideHere):
    """What the judge has of a server that it times."""

    def load(self, steps: Sequence[Step], *, graph: bool = False) -> None:
        super().load([replace(step, inputs=tuple(across(list(step.inputs)))) for step in steps])

    def result(self) -> Any:
        return across(super().result())


@dataclass
class Kept:
    """What all methods share, made once for all. references: figures of baselines, by their keys. data: the supplies of
    a problem, by its place and seed: reading, cutting and encoding them takes longer than most methods do. first: run
    of each method by which a quick look at it is had."""

    references: dict[str, Mapping[str, float]] = field(default_factory=dict)
    data: dict[tuple[Any, ...], Mapping[str, Supply]] = field(default_factory=dict)
    first: dict[str, Job] = field(default_factory=dict)


@dataclass
class Place:
    """A configuration of a method and where it runs. folder: for artefacts."""

    order: Order
    folder: Path
    kept: Kept

    @classmethod
    def of(cls, registry: Registry, job: Job, folder: Path, kept: Kept) -> "Place":
        return cls(planned(registry, job).order, folder, kept)

    @property
    def label(self) -> str:
        return f"{self.order.suite} at {self.order.point.name}, seed {self.order.seed}"

    @cached_property
    def problem(self) -> Problem[Any, Any]:
        return self.order.load_problem()

    @cached_property
    def reference(self) -> Mapping[str, float]:
        """Figures of the baseline, as the judge keeps them."""
        references = self.kept.references
        if self.order.baseline_key not in references:
            setting = self.order.baseline_setting
            task = self.task(setting, {})
            built = built_by(self.order.baseline.method().build(task))
            references[self.order.baseline_key] = self.shipped(built, setting, "baseline").figures(None)
        return references[self.order.baseline_key]

    def task(self, setting: Setting | None = None, reference: Mapping[str, float] | None = None) -> Task:
        """The builder's, a new one at each call: with supplies under a meter, and the judge's scale."""
        setting = setting or self.order.setting
        reference = self.reference if reference is None else reference
        self.problem.prepare(setting)
        task: Task = self.problem.task(setting)
        meter = Meter(setting.point.limits)
        task.limits, task.left = setting.point.limits, meter.left
        task.supplies = {name: SupplyAcross(each, meter) for name, each in self.supplies(setting).items()}
        task.weigh = Scale(self.problem, task, reference).weigh
        return task

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        order = self.order
        where = (order.suite, order.problem, order.point.name, setting.base, setting.seed)
        if where not in self.kept.data:
            self.kept.data[where] = self.problem.supplies(setting)
        return self.kept.data[where]

    def shipped(self, built: Built, setting: Setting, name: str = "candidate") -> "Shipped":
        """The candidate, and its rig, written to disk and read again by whoever serves them."""
        candidate, rig = self.folder / f"{name}.pt", self.folder / f"{name}.rig.pt"
        stored = artefact.write(built.candidate, candidate)
        task = self.problem.task(setting)
        self.problem.outfit(task)
        served = self.problem.serve(artefact.read(candidate, setting.device), task)
        of_rig = None
        if built.rig is not None:
            artefact.write(built.rig, rig, trains=True)
            of_rig = self.problem.serve_rig(artefact.read(rig, setting.device), task)
        return Shipped(self, stored, built, served, of_rig)


@dataclass
class Shipped:
    """Served, as a server does. stored: bytes. rig: served too, where there is one."""

    place: Place
    stored: int
    built: Built
    served: Served[Any]
    rig: Served[Any] | None

    @cached_property
    def remote(self) -> Any:
        return Remote(self.served)

    def figures(self, reference: Mapping[str, float] | None) -> dict[str, float]:
        """What the judge finds. reference: the baseline's; None for its own."""
        order, missing = self.place.order, dict[str, str]()
        with SideAcross(self.served, order.device) as side:
            both: Any = SimpleNamespace(remote=self.remote, side=side)
            found = figures_of(both, self.stored, order, self.place.problem, reference, missing)
        if self.rig is not None:
            found |= {name: float(value) for name, value in Remote(self.rig).figures().items()}
        found |= {name: float(value) for name, value in self.built.figures.items()}
        for name in order.costs:
            ratio = ratio_of(name, found.get, reference or {})
            if ratio is not None:
                found.setdefault(name, ratio)
        assert not missing, missing
        return found

    def scores(self) -> dict[str, Score]:
        """Of the exam, and of the training."""
        problem, exam = self.place.problem, self.place.problem.exam(self.place.order.setting)
        found = {score.name: score for score in (*self.built.scores, *problem.evaluate(self.remote, exam))}
        doubt = problem.doubts(self.remote, exam)
        assert doubt is None, doubt
        return found

    def answers(self, *, checked: bool) -> list[Any]:
        """What it says in a trial of each workload, step by step. checked: held against the steps' own checks."""
        problem, found = self.place.problem, []
        for workload in problem.workloads(problem.exam(self.place.order.setting)):
            served = self.served if workload.of == "candidate" else self.rig
            if served is None:
                continue
            with SideAcross(served, self.place.order.device) as side:
                trials = [workload] if workload.at_batch is None else [workload, workload.at_batch(2)]
                for each in trials:
                    for step in each.trial(np.random.default_rng(0)):
                        side.load([step])
                        side.run()
                        found.append(side.result())
                        if checked and step.check is not None:
                            wrong = step.check(found[-1], Remote(served))
                            assert wrong is None, f"{workload.name}, {step.phase}: {wrong}"
        return found


def built_by(result: Any) -> Built:
    """What `build` gave."""
    return result if isinstance(result, Built) else Built(result)


def state(task: Task, names: Sequence[str]) -> dict[str, bytes]:
    """The data in a task, by name; of what it loads when it is asked for, as it then is."""
    found = {}
    for name in names:
        file = io.BytesIO()
        _Data(file).dump(getattr(task, name))
        found[name] = file.getvalue()
    return found


class _Data(pickle.Pickler):
    """Tensors by their numbers; of what can be called, and of the problem, the type alone."""

    def persistent_id(self, thing: Any) -> Any:
        if isinstance(thing, Tensor):
            return str(thing.dtype), tuple(thing.shape), thing.requires_grad, as_array(thing).tobytes()
        is_data = isinstance(thing, type | nn.Module) or not (callable(thing) or isinstance(thing, Problem))
        return None if is_data else type(thing).__qualname__


def loaded(task: Task) -> list[str]:
    """Names of what a task holds by now."""
    return [name for name in vars(task) if name not in ENGINE]


def same(one: Any, other: Any) -> bool:
    """Of plain data: the same numbers, but for rounding."""
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray | float | int):
        a, b = np.asarray(one), np.asarray(other)
        size = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-5, atol=1e-6 * size, equal_nan=True))
    return bool(one == other)


def within(place: Place, figures: Mapping[str, float], scores: Mapping[str, Score]) -> str | None:
    """Which limit on the result is passed, or None."""
    values = {name: score.value for name, score in scores.items()}
    try:
        place.order.point.limits.check_result({**values, **figures})
    except OverBudget as over:
        return str(over)
    return None
