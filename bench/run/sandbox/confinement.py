"""What the code of others is kept in, and an executor that keeps it there."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.run.local import LocalExecutor
from bench.run.sandbox import NoSandbox, inside
from bench.run.sandbox.bubblewrap import Bubblewrap, environment, find
from bench.run.sandbox.resources import Resources, Watch


@dataclass(frozen=True)
class Confinement:
    """sandbox: None where there is none; then the limits of `resources` and the clean environment are all there is."""

    sandbox: Bubblewrap | None
    resources: Resources

    def executor(self, *, gpu: bool = False, visible: Sequence[Path] = ()) -> LocalExecutor:
        """Runs jobs in here. Used as a context. visible: see Bubblewrap.command."""
        return LocalExecutor(
            wrap=lambda command: self.command(command, gpu=gpu, visible=visible),
            variables=environment(),
            clean=True,
            watch=lambda root: Watch(root, self.resources).exceeded,
            isolation="none" if self.sandbox is None else "bubblewrap",
        )

    def command(
        self, command: Sequence[str], *, gpu: bool = False, visible: Sequence[Path] = (), hidden: Sequence[Path] = ()
    ) -> list[str]:
        """The command, confined. visible, hidden: see Bubblewrap.command."""
        limits = {"RLIMIT_NPROC": self.resources.tasks + _tasks_of_user(), "RLIMIT_FSIZE": self.resources.file_bytes}
        if not gpu:  # CUDA maps far more than it uses
            limits["RLIMIT_DATA"] = self.resources.memory_bytes
        limited = [sys.executable, "-I", "-S", str(Path(inside.__file__)), json.dumps(limits), *command]
        if self.sandbox is None:
            return limited
        return self.sandbox.command(
            limited, temporary_bytes=self.resources.temporary_bytes, gpu=gpu, visible=visible, hidden=hidden
        )


def confinement_of(tree: Path, *, required: bool, tell: Callable[[str], None]) -> Confinement:
    """What there is here, for the methods and suites of the checkout `tree`.

    Without a sandbox raise NoSandbox if it is required, else say so and keep the limits.
    """
    try:
        return Confinement(find(tree), Resources.of_this_machine())
    except NoSandbox as reason:
        if required:
            raise NoSandbox(f"untrusted code runs in a sandbox or not at all: {reason}") from reason
        tell(f"no sandbox: {reason}. The runs are held to limits alone, and can read and reach what you can")
        return Confinement(None, Resources.of_this_machine())


def _tasks_of_user() -> int:
    """Threads of all processes of this user: on some kernels they count towards the limit too."""
    total = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.uids().real == os.getuid():
                total += process.num_threads()
    return total
