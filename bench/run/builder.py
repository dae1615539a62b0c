"""The builder: a process of the method's own. It gets the task, builds, and writes the artefact; then it is gone.

What it says is believed for sense alone: the judge keeps the meters and weighs what was written.
"""

import socket
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.contract import Built, Limits, Method, OverBudget, Problem, Setting, Task
from bench.measure.memory import is_out_of_memory
from bench.registry.key import settings_as_stored
from bench.run import artefact
from bench.run.channel import Channel
from bench.run.order import Order
from bench.run.rules import ALTERED
from bench.run.seal import Seal
from bench.run.weigh import Scale
from bench.run.within import go_behind_the_fence, repeatable, say


def main(channel: Channel, control: socket.socket | None) -> None:
    message = channel.receive()
    order, folder = Order.read(message["order"]), Path(message["artefact"])
    repeatable(order)
    go_behind_the_fence(order, channel, writable=[folder], models=True)
    is_baseline = message["baseline"]
    made, setting = (order.baseline, order.baseline_setting) if is_baseline else (order.method, order.setting)
    try:
        problem = order.load_problem()
        seal = Seal()  # before anything of the method is imported
        answer = _built(channel, problem, made.method(), setting, message, folder)
        if (altered := seal.broken()) is not None:
            channel.send({"broken": [ALTERED, altered]})
        channel.send(answer)
    except OverBudget as over:
        channel.send({"over": [over.limit, over.value, over.allowed]})
    except Exception as error:  # a method may fail in any way; the record says how
        if is_out_of_memory(error):
            channel.send({"out_of_memory": (str(error) or "out of memory").splitlines()[0]})
            return
        traceback.print_exc()
        channel.send({"failed": f"{type(error).__name__}: {error}"})


def _built(
    channel: Channel,
    problem: Problem[Any, Any],
    method: Method[Any],
    setting: Setting,
    message: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    task = problem.task(setting)
    outfit(task, setting.point.limits, channel, message["supplies"])
    task.weigh = Scale(problem, task, message["reference"]).weigh
    reason = method.supports(task)
    if reason is not None:
        return {"unsupported": reason}
    names = [each.name for each in fields(method)]  # type: ignore[arg-type]  # every method is a dataclass
    channel.ask({"ready": settings_as_stored({name: getattr(method, name) for name in names})})
    say("build")
    result = method.build(task)
    channel.ask({"built": True})  # the meters stop here
    built = result if isinstance(result, Built) else Built(result)
    figures = {**problem.spent(task), **built.figures}
    artefact.write(built.candidate, folder / artefact.CANDIDATE)
    if built.rig is not None:
        artefact.write(built.rig, folder / artefact.RIG, trains=True)
    scores = [
        [s.name, list(map(float, s.samples)), s.weights and list(map(float, s.weights)), s.aggregate]
        for s in built.scores
    ]
    return {"done": {"scores": scores, "figures": {name: float(value) for name, value in figures.items()}}}


def outfit(task: Task, limits: Limits, channel: Channel, supplies: Mapping[str, int]) -> None:
    """Give a task its limits, and its supplies by way of the judge. supplies: length by name."""
    task.limits = limits
    task.supplies = {name: _FromTheJudge(channel, name, length) for name, length in supplies.items()}
    task.left = lambda meter: channel.ask({"left": meter})["left"]


@dataclass(frozen=True)
class _FromTheJudge:
    """A supply whose data and meter are in another process."""

    channel: Channel
    name: str
    length: int

    def __len__(self) -> int:
        return self.length

    def take(self, wanted: Any) -> Any:
        answer = self.channel.ask({"take": self.name, "wanted": wanted})
        if "over" in answer:
            raise OverBudget(*answer["over"])
        if "refused" in answer:
            raise ValueError(answer["refused"])
        return answer["data"]
