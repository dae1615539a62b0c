"""What the judge has of a server: calls that look like those of what is served, and a side that can be timed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from threading import get_native_id
from typing import Any

from bench.contract import Step
from bench.measure.clock import Reading, Stamps, reading
from bench.measure.flops import UncountedOperatorError
from bench.measure.side import SideOutOfMemory
from bench.measure.waiting import RunQueue
from bench.measure.work import Work
from bench.run.channel import Gone, Malformed
from bench.run.party import Party
from bench.run.rules import UNFINISHED, RuleBroken

_now = time.perf_counter_ns


class ServerFailed(RuntimeError):
    """The candidate's own code raised an error, or gave what is no plain data; its words."""


class ServerGone(RuntimeError):
    """The server's process has ended: by itself, by the judge, or by somebody from outside."""


@dataclass
class RemoteServed:
    """Every public method of what is served, asked in the server. broken: a rule that the candidate's code was seen to
    break meanwhile."""

    party: Party
    broken: RuleBroken | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments: Any, **named: Any) -> Any:
            return self.ask("call", name=name, arguments=list(arguments), named=named)

        return call

    def ask(self, do: str, **request: Any) -> Any:
        """Raises ServerFailed, ServerGone, SideOutOfMemory and UncountedOperatorError."""
        try:
            answer = self.party.channel.ask({"do": do, **request})
            while isinstance(answer, dict) and "broken" in answer:  # said, whatever becomes of it
                self.broken = self.broken or RuleBroken(*map(str, answer["broken"]))
                answer = self.party.channel.receive()
        except (Gone, Malformed) as error:
            raise ServerGone(str(error)) from error
        if not isinstance(answer, dict):
            raise ServerFailed("it answered with no table")
        if "answer" in answer:
            return answer["answer"]
        if "out_of_memory" in answer:
            raise SideOutOfMemory(str(answer["out_of_memory"]))
        if "uncounted" in answer:
            raise UncountedOperatorError([str(each) for each in answer["uncounted"]])
        raise ServerFailed(str(answer.get("failed", "it gave no reason")))


@dataclass
class RemoteSide:
    """A server as a side of a comparison. The server's stamps count; the judge takes its own around them, reads what
    the kernel says of the server's threads, and keeps both to hold them against each other (`seen`)."""

    served: RemoteServed
    threads: int
    device: str
    seen: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cuda = self.device.startswith("cuda")
        self._queue = RunQueue(everyone=not self._cuda, pid=self.served.party.pid)
        self._queue.find_threads()
        self._own = RunQueue(everyone=False)
        self._own.find_threads()

    def load(self, steps: Sequence[Step], *, graph: bool = False) -> None:
        wanted = [[step.phase, step.call, list(step.inputs)] for step in steps]
        try:
            self.served.ask("load", steps=wanted, graph=graph)
        except ServerFailed as error:
            raise (RuntimeError(str(error)) if graph else error) from error

    def run(self) -> Reading:
        pid = self.served.party.pid
        own_before, before, start = self._own.read(), self._queue.read(), _now()
        told = self.served.ask("run")
        outside, after, own = (_now() - start) / 1e9, self._queue.read(), self._own.read()
        stamps = _stamps(told)
        found = reading(stamps, before, after, pid, cuda=self._cuda)
        waited = after.waited_since(before, pid) + own.waited_since(own_before, get_native_id())
        self.seen.append((outside, stamps.wall, waited))
        return found

    def work(self) -> Work:
        told = self.served.ask("work")
        return Work(*(float(told[each.name]) for each in fields(Work)))

    def result(self) -> Any:
        try:
            return self.served.ask("result")
        except ServerFailed as error:
            raise RuleBroken(UNFINISHED, f"a step gives plain tensors, arrays or numbers: {error}") from error

    def check(self, step: Step) -> str | None:
        return None if step.check is None else step.check(self.result(), self.served)  # type: ignore[arg-type]

    def rest(self) -> None:
        self.served.ask("rest")
        self._queue.find_threads()

    def reset_peak(self) -> None:
        self.served.ask("reset_peak")

    def peak_bytes(self) -> float:
        return float(self.served.ask("peak_bytes"))

    def held_bytes(self) -> float:
        return float(self.served.ask("held_bytes"))

    def free_bytes(self) -> float:
        return float(self.served.ask("free_bytes"))

    def close(self) -> None:
        self._queue.__exit__()
        self._own.__exit__()


def _stamps(told: Any) -> Stamps:
    """What the server says of a call, if it can be."""
    try:
        device = told["device"]
        stamps = Stamps(
            float(told["wall"]), float(told["processor"]), float(told["thread"]),
            None if device is None else float(device), float(told["unfinished"]),
        )  # fmt: skip
    except (TypeError, KeyError, ValueError) as error:
        raise ServerFailed(f"stamps that are none: {error}") from error
    if not all(0 <= each < 1e9 for each in (stamps.wall, stamps.processor, stamps.thread, stamps.unfinished)):
        raise ServerFailed(f"stamps that can't be: {stamps}")
    return stamps
