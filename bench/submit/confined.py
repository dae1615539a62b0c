"""`effbench check --sandbox`: the whole command once more, inside of a sandbox, since a check imports what it checks.

It protects the machine, not the verdict: code that is out for it can make its own check pass.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO, TextIO

from bench.run.sandbox.bubblewrap import ROOT, environment, find
from bench.run.sandbox.confinement import Confinement
from bench.run.sandbox.resources import Resources, Watch

_LOOK_EVERY = 0.5


def check_confined(arguments: Sequence[str]) -> int:
    """Run `effbench check ARGUMENTS` in a sandbox that sees the whole checkout, read-only; return its exit code.

    Raises NoSandbox where there is none.
    """
    confinement = Confinement(find(), Resources.of_this_machine())
    command = [sys.executable, "-P", "-m", "bench.cli", "check", *arguments]
    process = subprocess.Popen(
        confinement.command(command, visible=[ROOT], hidden=_secrets()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=environment() | {"TMPDIR": "/tmp", "MYPY_CACHE_DIR": "/tmp/mypy", "GIT_OPTIONAL_LOCKS": "0"},
    )
    watch = Watch(process.pid, confinement.resources)
    relays = [Thread(target=_relay, args=each) for each in ((process.stdout, sys.stdout), (process.stderr, sys.stderr))]
    for relay in relays:
        relay.start()
    try:
        while process.poll() is None:
            if exceeded := watch.exceeded():
                print(f"effbench: {exceeded.reason}", file=sys.stderr)
                return 1
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_EVERY)
    finally:
        process.kill()
        process.wait()
        for relay in relays:
            relay.join()
    return process.returncode


def _relay(source: IO[str], target: TextIO) -> None:
    """What is said in there is printed by this process, plainly as all that it prints."""
    for line in source:
        target.write(line)
        target.flush()


def _secrets() -> list[Path]:
    """Where git keeps what it logs in with."""
    return [path for path in (ROOT / ".git" / "config", ROOT / ".git" / "credentials") if path.is_file()]
