"""The warm process: it has loaded the libraries once, and all parties of the runs are forked from it.

`python -m bench.run.warm FD MODULE...` imports the modules and then serves the socket FD: each request names a role and
brings descriptors; a party is forked, and its keeper beside it. The warm process has one thread and never opens a
device, so that forking is safe; nothing of a suite or a method is ever imported here.

A keeper is the parent of one party. It adopts whatever the party starts and lets go of, kills all of it when the party
or the warm process ends, or when the one who asked for it closes the lifeline (also by dying), and says how it ended.
"""

import ctypes
import gc
import importlib
import json
import logging
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.run.tree import descendants, name_of

ROLES = {
    "judge": "bench.run.judge",
    "builder": "bench.run.builder",
    "server": "bench.run.server",
    "prepare": "bench.run.prepare",
}
"""Modules whose `main(channel, control)` a party runs."""

REQUEST_BYTES = 1 << 16
_DESCRIPTORS = 5
_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36
_LAST_LOOKS = 50


@dataclass
class _Warm:
    """controls: sockets that requests come from. keepers: of the parties that run. folders: of the judges among them,
    by keeper; what a run has written goes when its judge has ended."""

    controls: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)
    keepers: set[int] = field(default_factory=set)
    folders: dict[int, str] = field(default_factory=dict)

    def serve(self, control: socket.socket) -> None:
        """Until the first socket is closed; then all parties end, and their folders go."""
        self.controls.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in self.controls.select(timeout=1.0):
                asked: socket.socket = key.fileobj  # type: ignore[assignment]
                if not self._request(asked):
                    self.controls.unregister(asked)
                    asked.close()
                    if asked is control:
                        self._end()
                        return
            self._reap()

    def _request(self, asked: socket.socket) -> bool:
        """Whether there may be another from there."""
        try:
            message, descriptors, _, _ = socket.recv_fds(asked, REQUEST_BYTES, _DESCRIPTORS)
        except OSError:
            return False
        if not message:
            return False
        request = json.loads(message)
        kept = descriptors[3:4] if request["role"] == "judge" else []
        for descriptor in kept:  # a judge asks for parties of its own
            self.controls.register(socket.socket(fileno=descriptor), selectors.EVENT_READ)
        given = [each for each in descriptors if each not in kept]
        keeper = os.fork()
        if keeper == 0:
            _keep(request, given)
        for descriptor in given:
            os.close(descriptor)
        self.keepers.add(keeper)
        if request["role"] == "judge":
            self.folders[keeper] = request["folder"]
        with suppress(OSError):
            asked.send(json.dumps({"keeper": keeper}).encode())
        return True

    def _reap(self) -> None:
        """Keepers that ended; and what a keeper that was killed has left behind, as it is ours then."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self.keepers.discard(ended)
                if ended in self.folders:
                    shutil.rmtree(self.folders.pop(ended), ignore_errors=True)
        for orphan in set(descendants(os.getpid(), deep=False)) - self.keepers:
            with suppress(OSError):
                os.kill(orphan, signal.SIGKILL)

    def _end(self) -> None:
        for key in list(self.controls.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        for _ in range(_LAST_LOOKS):
            self._reap()
            if not self.keepers:
                break
            time.sleep(0.1)
        for pid in descendants(os.getpid()):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for folder in self.folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def _keep(request: Mapping[str, str], given: Sequence[int]) -> None:
    """In the keeper, which never returns. given: channel, lifeline, log, and for a judge its control."""
    channel, lifeline, log, *control = given
    try:
        os.setsid()
        for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(kind, signal.SIG_DFL)
        _prctl(_CHILD_SUBREAPER, 1)
        _close_all_but({channel, lifeline, log, *control})
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        party = os.fork()
        if party == 0:
            os.close(lifeline)
            _run_party(request, channel, control)
        for descriptor in (channel, *control):
            os.close(descriptor)
        _watch(party, lifeline)
    except BaseException:  # whatever happens here, two processes must never serve one socket
        traceback.print_exc()
    finally:
        os._exit(1)


def _run_party(request: Mapping[str, str], channel: int, control: Sequence[int]) -> None:
    """In the party, which never returns."""
    from bench.run.channel import Channel

    code = 1
    try:
        _prctl(_DEATH_SIGNAL, signal.SIGKILL)
        gc.enable()
        folder = Path(request["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None
        os.chdir(folder)
        role = importlib.import_module(ROLES[request["role"]])
        role.main(Channel(socket.socket(fileno=channel)), socket.socket(fileno=control[0]) if control else None)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _watch(party: int, lifeline: int) -> None:
    """Until the party or the warm process ends, or the lifeline is closed; then what is left goes, and how it was is
    told."""
    line = socket.socket(fileno=lifeline)
    ended, warm = os.pidfd_open(party), os.pidfd_open(os.getppid())
    line.sendall(json.dumps({"pid": party}).encode() + b"\n")
    with selectors.DefaultSelector() as selector:
        for each in (line, ended, warm):
            selector.register(each, selectors.EVENT_READ)
        events = selector.select()
    if not any(key.fileobj == ended for key, _ in events):
        os.kill(party, signal.SIGKILL)
    _, status = os.waitpid(party, 0)
    survivors = _kill_rest()
    with suppress(OSError):
        line.sendall(json.dumps({"status": status, "survivors": survivors}).encode() + b"\n")
    os._exit(0)


def _kill_rest() -> list[str]:
    """Kill all that the party has started; names of what was alive after a moment for what was just ending."""
    survivors: list[str] = []
    for look in range(_LAST_LOOKS):
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = descendants(os.getpid())
        if not left:
            break
        if look < 2:
            time.sleep(0.05)
            continue
        survivors += [name for pid in left if (name := name_of(pid)) is not None and name not in survivors]
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return survivors


def _close_all_but(kept: set[int]) -> None:
    """No party may hold what tells others that a process has ended."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value)


def _load(modules: Sequence[str]) -> None:
    """Import them. One that starts a thread can't be forked from: this program then begins anew without it.

    Warnings are left out: what libraries miss of one another is of no use to who runs a method.
    """
    logging.disable(logging.WARNING)
    for name in modules:
        with suppress(ImportError):  # whoever needs it says so, with what to do
            importlib.import_module(name)
        if len(os.listdir("/proc/self/task")) > 1:
            print(f"[effbench] {name} starts a thread when it is imported: each run imports it itself", file=sys.stderr)
            others = [each for each in modules if each != name]
            os.execv(sys.executable, [sys.executable, "-P", "-m", "bench.run.warm", sys.argv[1], *others])
    logging.disable(logging.NOTSET)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    _load(sys.argv[2:])
    _prctl(_CHILD_SUBREAPER, 1)
    gc.collect()
    gc.freeze()  # so that a collection in a party does not write to every page that is shared
    _Warm().serve(control)


if __name__ == "__main__":
    main()
