"""A server: a fresh process that loads an artefact and answers the judge's calls. Beside the candidate it has what the
problem gives every server, and nothing else of the builder's."""

import socket
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bench.contract import Served, Step
from bench.measure.clock import Stopwatch
from bench.measure.flops import UncountedOperatorError
from bench.measure.memory import is_out_of_memory
from bench.measure.side import SideHere
from bench.run import artefact
from bench.run.channel import Channel, Gone
from bench.run.order import Order
from bench.run.seal import Seal
from bench.run.within import go_behind_the_fence, repeatable, say


def main(channel: Channel, control: socket.socket | None) -> None:
    message = channel.receive()
    order = Order.read(message["order"])
    repeatable(order)
    try:
        served, seal = _served(order, channel, message)
    except Exception as error:  # what an artefact does when it is loaded may fail in any way
        channel.send(_failure(error))
        return
    channel.send({"answer": None})
    with SideHere(served, order.device) as side:
        _Desk(channel, served, side, Stopwatch(order.device), seal).serve()


def _served(order: Order, channel: Channel, message: dict[str, Any]) -> tuple[Served[Any], Seal]:
    problem = order.load_problem()
    task = problem.task(order.baseline_setting if message["baseline"] else order.setting)
    problem.outfit(task)
    path = Path(message["artefact"])
    go_behind_the_fence(order, channel, readable=[path])
    seal = Seal()
    say("load")
    serve = problem.serve_rig if message["rig"] else problem.serve
    return serve(artefact.read(path, order.device), task), seal


@dataclass
class _Desk:
    """Answers one request after the other, until nobody asks any more."""

    channel: Channel
    served: Served[Any]
    side: SideHere
    watch: Stopwatch
    seal: Seal

    def serve(self) -> None:
        while True:
            try:
                request = self.channel.receive()
            except Gone:
                return
            try:
                answer = {"answer": self._answer(request)}
                self.channel.send(answer)
            except Gone:
                return
            except Exception as error:  # of the candidate's own code, or of what it gave
                self.channel.send(_failure(error))
            if request["do"] == "call":
                self._let_go()

    def _answer(self, request: dict[str, Any]) -> Any:
        do = request["do"]
        if do == "call":
            return self._call(request["name"])(*request["arguments"], **request["named"])
        handler: Callable[[dict[str, Any]], Any] = getattr(self, f"_{do}")
        return handler(request)

    def _call(self, name: str) -> Callable[..., Any]:
        """A public method of what is served, by its class: nothing that was put onto the object."""
        if name.startswith("_") or not hasattr(type(self.served), name):
            raise AttributeError(f"{type(self.served).__name__} has no call {name!r}")
        return getattr(type(self.served), name).__get__(self.served)  # type: ignore[no-any-return]

    def _load(self, request: dict[str, Any]) -> None:
        steps = [Step(phase, call, tuple(inputs)) for phase, call, inputs in request["steps"]]
        for step in steps:
            self._call(step.call)
        self.side.load(steps, graph=request["graph"])

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        self.side.forget()
        result, stamps = self.watch.time(self.side.everything)
        self.side.keep(result)
        return asdict(stamps)

    def _result(self, request: dict[str, Any]) -> Any:
        return self.side.result()

    def _work(self, request: dict[str, Any]) -> dict[str, float]:
        return asdict(self.side.work())

    def _altered(self, request: dict[str, Any]) -> str | None:
        return self.seal.broken()

    def _rest(self, request: dict[str, Any]) -> None:
        self.side.rest()

    def _reset_peak(self, request: dict[str, Any]) -> None:
        self.side.reset_peak()

    def _peak_bytes(self, request: dict[str, Any]) -> float:
        return self.side.peak_bytes()

    def _held_bytes(self, request: dict[str, Any]) -> float:
        return self.side.held_bytes()

    def _free_bytes(self, request: dict[str, Any]) -> float:
        return self.side.free_bytes()

    def _let_go(self) -> None:
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()


def _failure(error: Exception) -> dict[str, Any]:
    """What went wrong, in words. The memory that the error's frames hold is let go of with it."""
    if is_out_of_memory(error):
        text = (str(error) or type(error).__name__).splitlines()[0]
        error.__traceback__ = None
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
        return {"out_of_memory": text}
    if isinstance(error, UncountedOperatorError):
        return {"uncounted": list(error.operators)}
    traceback.print_exception(error)
    return {"failed": f"{type(error).__name__}: {error}"}
