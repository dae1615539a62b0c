"""Methods that behave and methods that do not, one for each way a run can end."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import torch

from bench.contract import Card, Limits, Method
from effbench_toy.suite import ToyTask


def control(slug: str) -> Card:
    return Card(slug=slug, suite="toy", title=slug, paper="none", control=True)


@dataclass(frozen=True)
class Dense(Method[ToyTask]):
    """The base itself."""

    card = control("toy-dense")

    def supports(self, task: ToyTask, limits: Limits) -> str | None:
        return "over every limit" if limits.result else None

    def build(self, task: ToyTask, limits: Limits) -> torch.Tensor:
        return task.base


@dataclass(frozen=True)
class Half(Method[ToyTask]):
    """Keeps a random half, as the seed says."""

    card = Card(slug="toy-half", suite="toy", title="half", paper="none", control=True, stochastic=True)
    variants = {"default": {}, "third": {"share": 0.33}}  # noqa: RUF012
    share: float = 0.5

    def build(self, task: ToyTask, limits: Limits) -> torch.Tensor:
        task.calibration(100)
        order = torch.randperm(len(task.base), generator=torch.Generator().manual_seed(task.seed))
        return task.base[order[: int(self.share * len(task.base))]] * (1 + task.seed)


def _build_of(slug: str):  # type: ignore[no-untyped-def]
    """Class decorator's body: a method around a build function."""

    def wrap(build):  # type: ignore[no-untyped-def]
        def method_build(self, task: ToyTask, limits: Limits) -> torch.Tensor:  # type: ignore[no-untyped-def]
            build(task)
            return task.base[: len(task.base) // 2].clone()

        namespace = {"card": control(slug), "build": method_build, "__doc__": build.__doc__, "__module__": __name__}
        return dataclass(frozen=True)(type(build.__name__, (Method,), namespace))

    return wrap


@_build_of("toy-raise")
def raises(task: ToyTask) -> None:
    raise RuntimeError("the build went wrong")


@_build_of("toy-exit")
def exits(task: ToyTask) -> None:
    os._exit(3)


@_build_of("toy-signal")
def dies(task: ToyTask) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@_build_of("toy-oom")
def allocates(task: ToyTask) -> None:
    raise MemoryError("cannot allocate 10 TiB")


@_build_of("toy-killed")
def is_killed(task: ToyTask) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@_build_of("toy-slow-build")
def builds_slowly(task: ToyTask) -> None:
    time.sleep(30)


@_build_of("toy-deaf")
def hangs(task: ToyTask) -> None:
    """Hangs where no Python signal handler can run, as a stuck library call does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM, signal.SIGINT})
    time.sleep(60)


@_build_of("toy-fork")
def leaves_a_child(task: ToyTask) -> None:
    """Leaves a process behind that would write a file later."""
    late = "import time, sys, pathlib; time.sleep(4); pathlib.Path(sys.argv[1]).write_text('survived')"
    subprocess.Popen([sys.executable, "-c", late, os.environ["TOY_SURVIVOR"]])


@_build_of("toy-hungry")
def uses_memory(task: ToyTask) -> None:
    torch.ones(150_000_000)


@_build_of("toy-greedy")
def draws_too_much(task: ToyTask) -> None:
    task.calibration(101)


@_build_of("toy-vandal")
def alters_the_baseline(task: ToyTask) -> None:
    task.base[0] = 2.0


@dataclass(frozen=True)
class TooLarge(Method[ToyTask]):
    """Keeps nine tenths where a half is asked."""

    card = control("toy-large")

    def build(self, task: ToyTask, limits: Limits) -> torch.Tensor:
        return task.base[: int(0.9 * len(task.base))].clone()
