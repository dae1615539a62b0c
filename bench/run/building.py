"""The builder as the judge keeps it: its supplies under the judge's meter, its time and memory watched from outside."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contract import Meter, OverBudget, Problem, Score, Supply
from bench.record.schema import Samples
from bench.run import artefact
from bench.run.channel import Gone, Malformed
from bench.run.guard import Guard
from bench.run.order import Order
from bench.run.party import Party, Starter
from bench.run.rules import LEFT_BEHIND, RuleBroken
from bench.run.servers import Stopped, why_gone
from bench.run.tree import abandoned_memory

_MOST_FIGURES = 200
_MOST_SAMPLES = 1_000_000


@dataclass
class Building:
    """What came of a build. folder: of the artefact. figures, scores: told by the builder. why: what has ended it."""

    folder: Path
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    unsupported: str | None = None
    seconds: float = 0.0
    processor_seconds: float = 0.0
    peak_memory_bytes: float = 0.0
    drawn: Mapping[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    scores: dict[str, Samples] = field(default_factory=dict)
    why: Exception | None = None

    @property
    def stored_bytes(self) -> int:
        """Of what is shipped."""
        return (self.folder / artefact.CANDIDATE).stat().st_size

    @property
    def is_written(self) -> bool:
        """Whether there is an artefact, and not the name of something else."""
        path = self.folder / artefact.CANDIDATE
        return path.is_file() and not path.is_symlink()

    @property
    def rig(self) -> bool:
        """Whether there is something that a step of the training can be done on."""
        return (self.folder / artefact.RIG).is_file()

    def raise_if_stopped(self) -> None:
        if self.why is not None:
            raise self.why


def build(
    order: Order,
    problem: Problem[Any, Any],
    starter: Starter,
    folder: Path,
    reference: Mapping[str, float],
    *,
    baseline: bool = False,
    into: Path | None = None,
) -> Building:
    """Have the method (or the baseline, without limits) built. reference: the baseline's figures. into: where the
    artefact goes, a folder below `folder` where nothing is said."""
    setting = order.baseline_setting if baseline else order.setting
    building = Building(into or folder / "artefact")
    building.folder.mkdir(parents=True, exist_ok=True)
    supplies = problem.supplies(setting)
    meter = Meter(setting.point.limits)
    before = abandoned_memory()
    party = starter.start("builder", folder / "builder")
    message = {
        "order": order.plain(),
        "artefact": str(building.folder),
        "baseline": baseline,
        "reference": dict(reference),
        "supplies": {name: len(supply) for name, supply in supplies.items()},
    }
    try:
        _Talk(party, order, building, supplies, meter, setting.point.limits).hold(message)
    finally:
        building.drawn = dict(meter.drawn)
        party.kill()
        ended = party.ended()
    if building.why is None and ended.survivors:
        building.why = RuleBroken(LEFT_BEHIND, f"{', '.join(ended.survivors)} outlived the build")
    if building.why is None and abandoned_memory() - before:
        building.why = RuleBroken(LEFT_BEHIND, "shared memory outlived the build")
    _leave_the_artefact_alone(building.folder, folder / "builder")
    return building


def _leave_the_artefact_alone(made: Path, folder: Path) -> None:
    """Of what the builder wrote only that which is weighed goes on."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in made.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in (artefact.CANDIDATE, artefact.RIG) or path.is_symlink():
            path.unlink()


@dataclass
class _Talk:
    """What is said between the judge and a builder."""

    party: Party
    order: Order
    building: Building
    supplies: Mapping[str, Supply]
    meter: Meter
    limits: Any

    def hold(self, message: dict[str, Any]) -> None:
        """From the order to the artefact. How it ended stands in the building."""
        limits, device = self.limits, self.order.device
        # Before the build: loading what the task starts from counts for nobody.
        with Guard(self.party, self.order.threads) as loading:
            answer = self._next(message, loading)
        if answer is None or "ready" not in answer:
            self._last(answer)
            return
        self.building.hyperparameters = dict(answer["ready"])
        guard = Guard(
            self.party, self.order.threads, limits.build_seconds, limits.build_memory_bytes,
            by_the_clock=device.startswith("cuda"),
        )  # fmt: skip
        with guard:
            answer = self._next({}, guard)
        self.building.seconds, self.building.processor_seconds = guard.wall, guard.spent
        self.building.peak_memory_bytes = guard.peak
        if guard.stopped is not None:
            self.building.why = OverBudget(*guard.stopped)
            return
        if answer is None or "built" not in answer:
            self._last(answer)
            return
        with Guard(self.party, self.order.threads) as writing:
            self._last(self._next({}, writing))

    def _next(self, message: dict[str, Any], guard: Guard) -> dict[str, Any] | None:
        """The builder's next word that is no question; None where it has ended, and then why stands in the building."""
        answer: Any = None
        try:
            answer = self.party.channel.ask(message)
            while any(word in answer for word in ("take", "left", "broken")):
                if "broken" in answer:  # said, whatever becomes of it
                    self.building.why = RuleBroken(*map(str, answer["broken"]))
                    answer = self.party.channel.receive()
                else:
                    answer = self.party.channel.ask(self._supplied(answer))
            if not isinstance(answer, dict):
                raise Malformed("no table")
        except Malformed as error:
            self.building.why = RuleBroken("no plain answer", str(error))
            return None
        except (Gone, TypeError) as gone:
            self.building.why = (
                OverBudget(*guard.stopped) if guard.stopped else why_gone(self.party, guard, "the builder")
            )
            if isinstance(gone, TypeError):
                self.building.why = RuleBroken("no plain answer", str(gone))
            return None
        return answer

    def _supplied(self, question: dict[str, Any]) -> dict[str, Any]:
        if "left" in question:
            return {"left": self.meter.left(str(question["left"]))}
        supply = self.supplies.get(str(question["take"]))
        if supply is None:
            return {"refused": f"there is no supply {question['take']!r}"}
        wanted = question.get("wanted")
        try:
            if supply.meter is not None:
                amount = supply.amount(wanted)
                if not amount >= 0:
                    raise ValueError(f"{wanted!r} is no amount")
                self.meter.charge(supply.meter, amount)
            return {"data": supply.take(wanted)}
        except OverBudget as over:
            # Also where the method goes on as if nothing had been said.
            self.building.why = over
            return {"over": [over.limit, over.value, over.allowed]}
        except (ValueError, TypeError, IndexError, KeyError) as error:
            return {"refused": str(error)}

    def _last(self, answer: dict[str, Any] | None) -> None:
        """The end of it, in the building."""
        building = self.building
        if answer is None or building.why is not None:
            return
        if "unsupported" in answer:
            building.unsupported = str(answer["unsupported"])
        elif "over" in answer:
            limit, value, allowed = answer["over"]
            building.why = OverBudget(str(limit), float(value), float(allowed))
        elif "out_of_memory" in answer:
            building.why = Stopped("out_of_memory", str(answer["out_of_memory"]))
        elif "done" in answer and building.is_written:
            self._told(answer["done"])
        else:
            building.why = Stopped("failed", str(answer.get("failed", "the builder said nothing of an artefact")))

    def _told(self, told: dict[str, Any]) -> None:
        try:
            figures = {str(name): float(value) for name, value in dict(told["figures"]).items()}
            scores = [Score(*each) for each in told["scores"]]
            if len(figures) + len(scores) > _MOST_FIGURES or sum(len(s.samples) for s in scores) > _MOST_SAMPLES:
                raise ValueError("more figures than anybody reads")
        except (TypeError, ValueError, KeyError) as error:
            self.building.why = RuleBroken("no plain answer", f"what the builder told of its training: {error}")
            return
        self.building.figures = figures
        self.building.scores = {
            s.name: Samples(
                samples=list(s.samples), weights=None if s.weights is None else list(s.weights), aggregate=s.aggregate
            )
            for s in scores
        }
