"""Servers as the judge keeps them: started, asked, watched, ended."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.record.schema import Status
from bench.run import artefact
from bench.run.channel import Gone
from bench.run.guard import Guard
from bench.run.order import Order
from bench.run.party import Party, Starter
from bench.run.remote import RemoteServed, RemoteSide, ServerFailed, ServerGone
from bench.run.rules import ALTERED, LEFT_BEHIND, RuleBroken
from bench.run.tree import descendants, name_of, seconds_of_children


class Stopped(Exception):
    """A party has ended before its work was done. disturbed: by somebody from outside, so that it is no answer."""

    def __init__(self, status: Status, reason: str, *, disturbed: bool = False) -> None:
        super().__init__(reason)
        self.status, self.reason, self.disturbed = status, reason, disturbed


@dataclass
class Served:
    """A server. remote: what is served. side: to be timed. children: processor seconds of processes that it had started
    before it was timed."""

    party: Party
    remote: RemoteServed
    side: RemoteSide
    guard: Guard
    children: float | None = None

    def begin_timing(self) -> None:
        """From here on no process may work for it; a compiler that made a kernel has done so before."""
        self.children = seconds_of_children(self.party.pid)

    def check(self) -> None:
        """Raise RuleBroken if the candidate's code was seen to break a rule: it started a process, altered its
        libraries, or tried what it may not."""
        if self.remote.broken is not None:
            raise self.remote.broken
        if (altered := self.remote.ask("altered")) is not None:
            raise RuleBroken(ALTERED, str(altered))
        left = [name for pid in descendants(self.party.keeper) if pid != self.party.pid and (name := name_of(pid))]
        if left:
            raise RuleBroken(LEFT_BEHIND, f"{', '.join(left)} worked beside the candidate")
        if self.children is not None and seconds_of_children(self.party.pid) > self.children:
            raise RuleBroken(LEFT_BEHIND, "processes that the candidate started worked in its place")


@contextmanager
def serving(
    order: Order, starter: Starter, made: Path, folder: Path, *, rig: bool = False, baseline: bool = False
) -> Iterator[Served]:
    """A server of what was built, as long as the context lasts. made: folder of the artefact; folder: for the server to
    write to. Raises Stopped where it ends early."""
    party = starter.start("server", folder)
    with Guard(party, order.threads) as guard:
        remote = RemoteServed(party)
        side = RemoteSide(remote, order.threads, order.device)
        try:
            _begin(party, order, made, rig=rig, baseline=baseline)
            yield Served(party, remote, side, guard)
        except ServerGone as gone:
            raise why_gone(party, guard, "the server") from gone
        finally:
            side.close()
            party.kill()
            party.ended()


def _begin(party: Party, order: Order, folder: Path, *, rig: bool, baseline: bool) -> None:
    path = folder / (artefact.RIG if rig else artefact.CANDIDATE)
    message = {"order": order.plain(), "artefact": str(path), "rig": rig, "baseline": baseline}
    try:
        answer = party.channel.ask(message)
    except Gone as gone:
        raise ServerGone(str(gone)) from gone
    if "broken" in answer:
        raise RuleBroken(*map(str, answer["broken"]))
    if "out_of_memory" in answer:
        raise Stopped("out_of_memory", str(answer["out_of_memory"]))
    if "answer" not in answer:
        raise ServerFailed(str(answer.get("failed", "it gave no reason")))


def why_gone(party: Party, guard: Guard, who: str) -> Exception:
    """What a party's end means."""
    ended = party.ended()
    if guard.broken is not None:
        rule, _, what = guard.broken.partition(": ")
        return RuleBroken(rule, what)
    if guard.killed_for_memory:
        return Stopped("out_of_memory", f"{who} was ended by the system, which had no memory left")
    if ended.signal in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        return Stopped("failed", f"{who} was killed from outside (signal {ended.signal})", disturbed=True)
    how = f"signal {ended.signal}" if ended.signal is not None else f"exit code {ended.code}"
    return Stopped("failed", f"{who}'s process ended with {how}")
