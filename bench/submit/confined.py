"""`effbench check --sandbox`: the whole command once more, inside of a sandbox, since a check imports what it checks.

It protects the machine, not the verdict: code that is out for it can make its own check pass.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

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
        env=environment() | {"TMPDIR": "/tmp", "MYPY_CACHE_DIR": "/tmp/mypy", "GIT_OPTIONAL_LOCKS": "0"},
    )
    watch = Watch(process.pid, confinement.resources)
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
    return process.returncode


def _secrets() -> list[Path]:
    """Where git keeps what it logs in with."""
    return [path for path in (ROOT / ".git" / "config", ROOT / ".git" / "credentials") if path.is_file()]
