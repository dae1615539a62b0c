"""The parties of a run as the one who asked for them sees them: started, spoken to, ended."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.run.channel import Channel

Role = Literal["judge", "builder", "server", "prepare"]

_LIFE_BYTES = 1 << 16
_ENDING_SECONDS = 30.0


class NotStarted(RuntimeError):
    """The warm process has ended: nothing can be forked from it any more."""


@dataclass(frozen=True)
class Ended:
    """How a party ended: its exit code, or the signal that ended it. survivors: names of processes that outlived it."""

    code: int | None
    signal: int | None
    survivors: tuple[str, ...]


@dataclass
class Party:
    """channel: what is said to it and by it. keeper: its parent, at the root of all that it starts. pid: its own."""

    channel: Channel
    keeper: int
    pid: int
    _life: socket.socket
    _left: bytes = b""
    _ended: Ended | None = None

    def kill(self) -> None:
        """It and all that it started are gone once `ended` has returned."""
        with suppress(OSError):
            self._life.shutdown(socket.SHUT_WR)

    def ended(self, seconds: float = _ENDING_SECONDS) -> Ended:
        """Wait until it has ended; it is killed after so many seconds."""
        if self._ended is None:
            if not self._ready(seconds):
                self.kill()
                self._ready(_ENDING_SECONDS)
            self._ended = self._told()
            self.channel.close()
            self._life.close()
        return self._ended

    def _ready(self, seconds: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._life, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _told(self) -> Ended:
        with suppress(OSError, ValueError, KeyError):
            data = self._left
            while not data.endswith(b"\n") and (more := self._life.recv(_LIFE_BYTES)):
                data += more
            said = json.loads(data)
            status, survivors = int(said["status"]), tuple(map(str, said["survivors"]))
            if os.WIFSIGNALED(status):
                return Ended(None, os.WTERMSIG(status), survivors)
            return Ended(os.WEXITSTATUS(status), None, survivors)
        return Ended(None, signal.SIGKILL, ())  # its keeper was killed, and it with it


@dataclass
class Starter:
    """Asks the warm process for parties. log: descriptor that all they print goes to."""

    control: socket.socket
    log: int

    def start(self, role: Role, folder: Path) -> Party:
        """A party, with a folder of its own to write to (made where it is not there). Raises NotStarted."""
        mine, its = socket.socketpair()
        life, its_life = socket.socketpair()
        beyond: list[socket.socket] = [its, its_life]
        descriptors = [its.fileno(), its_life.fileno(), self.log]
        if role == "judge":
            warm_end, judge_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            descriptors += [warm_end.fileno(), judge_end.fileno()]
            beyond += [warm_end, judge_end]
        try:
            request = json.dumps({"role": role, "folder": str(folder)}).encode()
            socket.send_fds(self.control, [request], descriptors)
            keeper = int(json.loads(self.control.recv(_LIFE_BYTES))["keeper"])
            first, _, rest = _line(life)
            pid = int(json.loads(first)["pid"])
        except (OSError, ValueError, KeyError) as error:
            mine.close()
            life.close()
            raise NotStarted(f"no {role} could be started: {error}") from error
        finally:
            for end in beyond:
                end.close()
        return Party(Channel(mine), keeper, pid, life, rest)


def _line(life: socket.socket) -> tuple[bytes, bytes, bytes]:
    data = b""
    while b"\n" not in data:
        more = life.recv(_LIFE_BYTES)
        if not more:
            raise OSError("it ended at once")
        data += more
    return data.partition(b"\n")


_ENGINE = ("bench.run.judge", "bench.run.builder", "bench.run.server", "bench.run.prepare", "torch._dynamo")
"""Imported by every warm process; the last is what PyTorch imports when operators are first counted."""

Wrap = Callable[[Sequence[str]], Sequence[str]]


@dataclass
class Warm:
    """A warm process of this machine, started when it is first needed. modules: what it imports. variables: added to
    its environment, or all of it where `clean`. wrap: makes of a command one that is confined."""

    modules: Sequence[str]
    variables: Mapping[str, str]
    clean: bool = False
    wrap: Wrap = lambda command: command
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    control: socket.socket | None = field(default=None, repr=False)

    def starter(self, log: int) -> Starter:
        """For parties whose words go to this descriptor."""
        if self.process is None or self.process.poll() is not None:
            self._start()
        assert self.control is not None
        return Starter(self.control, log)

    def _start(self) -> None:
        self.close()
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # -P: nothing in the current folder can stand in a library's place.
        command = [sys.executable, "-P", "-m", "bench.run.warm", str(its.fileno()), *_ENGINE, *self.modules]
        self.process = subprocess.Popen(
            self.wrap(command),
            stdin=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
            start_new_session=True,
            env={**({} if self.clean else os.environ), **self.variables},
        )
        its.close()
        self.control = mine

    def close(self) -> None:
        """All parties end with it."""
        if self.control is not None:
            self.control.close()
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=_ENDING_SECONDS)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        self.process = self.control = None
