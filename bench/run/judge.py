"""The judge: holds the exam, the clock, the meters and what becomes the record. No line of a method runs in it.

A run, in order: what tasks start from is prepared; the baseline's artefact is taken from the cache, or made; the
builder builds the candidate's; a server loads it, and is weighed, examined and timed beside the baseline's.
"""

import shutil
import socket
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from bench.contract import OverBudget
from bench.measure.ratios import ratio_of
from bench.measure.side import SideOutOfMemory
from bench.record.schema import Build, Outcome, Samples
from bench.run import artefact
from bench.run.baselines import kept_baseline
from bench.run.building import Building, build
from bench.run.channel import Channel, Gone
from bench.run.figures import figures_of
from bench.run.order import Order
from bench.run.party import Starter
from bench.run.remote import ServerFailed
from bench.run.rules import TRAINED_OTHERWISE, RuleBroken
from bench.run.servers import Served, Stopped, serving
from bench.run.timing import Bench
from bench.run.within import say


def main(channel: Channel, control: socket.socket | None) -> None:
    assert control is not None
    order = replace(Order.read(channel.receive()), folder=str(Path.cwd()))
    outcome = judged(order, Starter(control, sys.stderr.fileno()), Path.cwd())
    channel.send(outcome.model_dump_json())


def judged(order: Order, starter: Starter, folder: Path) -> Outcome:
    """What comes of a run. Whatever the method does wrong becomes a status with a reason. folder: for the parties."""
    outcome = Outcome(status="ok")
    try:
        _Run(order, starter, folder, outcome).go()
    except OverBudget as over:
        outcome.status, outcome.reason = "over_budget", str(over)
    except (RuleBroken, ServerFailed) as broken:
        outcome.status, outcome.reason = "failed", str(broken)
    except SideOutOfMemory as out:
        outcome.status, outcome.reason = "out_of_memory", str(out)
    except Stopped as stopped:
        outcome.status, outcome.reason, outcome.disturbed = stopped.status, stopped.reason, stopped.disturbed
    except Exception as error:  # of the suite, or of the engine itself: the record says how
        traceback.print_exc()
        outcome.status, outcome.reason = "failed", f"{type(error).__name__}: {error}"
    return outcome


class _Run:
    """One run as it goes on. outcome: filled in on the way, so that what was measured is there however it ends."""

    def __init__(self, order: Order, starter: Starter, folder: Path, outcome: Outcome) -> None:
        self.order, self.starter, self.folder, self.outcome = order, starter, folder, outcome

    def go(self) -> None:
        say("prepare")
        self._prepare()
        self.problem = self.order.load_problem()
        say("baseline")
        self.baseline = kept_baseline(self.order, self.problem, self.starter, self.folder / "baseline")
        say("task")
        building = self._build()
        if building is None:
            return
        with serving(self.order, self.starter, building.folder, self.folder / "server") as served:
            self._weigh(served, building)
            say("evaluate")
            self._examine(served)
            if self.order.timed:
                self._time(served, building)
        if self.order.keep:
            shutil.copyfile(building.folder / artefact.CANDIDATE, Path(self.order.keep, artefact.CANDIDATE))

    def _prepare(self) -> None:
        party = self.starter.start("prepare", self.folder / "prepare")
        try:
            answer = party.channel.ask(self.order.plain())
        except Gone as gone:
            raise RuntimeError("what tasks start from could not be prepared; the log says why") from gone
        finally:
            party.kill()
            party.ended()
        if "missing" in answer:
            raise RuntimeError(str(answer["missing"]))

    def _build(self) -> Building | None:
        """None where the method says that it can't be run here."""
        if self.order.made:
            return Building(Path(self.order.made))
        reference = self.baseline.figures
        building = build(self.order, self.problem, self.starter, self.folder / "builder", reference)
        outcome = self.outcome
        outcome.hyperparameters = building.hyperparameters
        if building.unsupported is not None:
            outcome.status, outcome.reason = "unsupported", building.unsupported
            return None
        outcome.build = Build(
            seconds=building.seconds,
            processor_seconds=building.processor_seconds,
            peak_memory_bytes=building.peak_memory_bytes,
            drawn=dict(building.drawn),
        )
        outcome.memory |= {"build.process_peak_above_start": building.peak_memory_bytes}
        building.raise_if_stopped()
        return building

    def _weigh(self, served: Served, building: Building) -> None:
        """Figures of what was built, by the judge's own scale; then the limits are held against them."""
        order, outcome = self.order, self.outcome
        outcome.memory["weights"] = served.side.held_bytes()
        outcome.figures = figures_of(
            served, building.stored_bytes, order, self.problem, self.baseline.figures, outcome.missing
        )
        if building.rig:
            with serving(order, self.starter, building.folder, self.folder / "rig", rig=True) as rig:
                outcome.figures |= {name: float(value) for name, value in dict(rig.remote.figures()).items()}
        outcome.figures |= self._told(building)
        for name in order.costs:
            ratio = ratio_of(name, outcome.figures.get, self.baseline.figures)
            if ratio is not None:
                outcome.figures.setdefault(name, ratio)
        known = {*order.scores, *order.costs}
        outcome.figures = {name: value for name, value in outcome.figures.items() if name in known}
        limits = order.point.limits
        for name in limits.result:
            if name.removesuffix("_ratio") in outcome.missing:
                raise RuleBroken(
                    "not weighed", f"{name} is limited, and {outcome.missing[name.removesuffix('_ratio')]}"
                )
        limits.check_result(outcome.figures, later=order.scores)

    def _told(self, building: Building) -> dict[str, float]:
        """What the builder told of its training, where the judge has nothing to say itself."""
        for name in (*building.figures, *building.scores):
            if name in self.outcome.figures or name.removesuffix("_ratio") in self.outcome.figures:
                raise RuleBroken(TRAINED_OTHERWISE, f"the builder told {name!r}")
        self.outcome.quality |= {
            name: samples for name, samples in building.scores.items() if name in self.order.scores
        }
        return building.figures

    def _examine(self, served: Served) -> None:
        exam = self.exam = self.problem.exam(self.order.setting)
        served.side.reset_peak()
        limits, known = self.order.point.limits, {*self.order.scores, *self.order.costs}
        for score in self.problem.evaluate(served.remote, exam):
            if score.name in self.outcome.quality:
                raise RuleBroken(TRAINED_OTHERWISE, f"the builder told {score.name!r}")
            if score.name not in known:
                raise RuntimeError(f"the problem gave the score {score.name!r}, which suite.toml does not have")
            self.outcome.quality[score.name] = Samples(
                samples=[float(each) for each in score.samples],
                weights=None if score.weights is None else [float(each) for each in score.weights],
                aggregate=score.aggregate,
            )
            limits.check_result({score.name: score.value}, later=limits.result)
        self.outcome.memory["evaluate.process_peak_above_start"] = served.side.peak_bytes()
        # How far answers may differ is known of the scale's own type alone.
        if not self.order.dtype and (doubt := self.problem.doubts(served.remote, exam)):
            raise RuleBroken(*doubt)
        served.check()

    def _time(self, served: Served, building: Building) -> None:
        wanted = self.order.workloads
        every = [each for each in self.problem.workloads(self.exam) if not wanted or each.name in wanted]
        with self.baseline.serving(self.order, self.starter, self.folder / "baseline-server") as baseline:
            bench = Bench(served, baseline, self.order, self.outcome)
            for workload in every:
                if workload.of == "candidate":
                    bench.measure(workload)
        if not (building.rig and self.baseline.has_rig):
            return
        with (
            serving(self.order, self.starter, building.folder, self.folder / "rig", rig=True) as mine,
            self.baseline.serving(self.order, self.starter, self.folder / "baseline-rig", rig=True) as theirs,
        ):
            bench = Bench(mine, theirs, self.order, self.outcome)
            for workload in every:
                if workload.of == "rig":
                    bench.measure(workload)
