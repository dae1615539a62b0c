"""Methods that behave and methods that do not, one for each way a run can end."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from bench.contract import Card, Method
from effbench_toy.shrink import ToyTask


@dataclass(frozen=True)
class Dense(Method[ToyTask]):
    """The base itself."""

    card = Card(slug="toy-dense", suite="toy", title="toy-dense", paper="none", control=True)

    def supports(self, task: ToyTask) -> str | None:
        return "over every limit" if task.limits.result else None

    def build(self, task: ToyTask) -> torch.Tensor:
        return task.base


@dataclass(frozen=True)
class Half(Method[ToyTask]):
    """Keeps a random half, as the seed says."""

    card = Card(slug="toy-half", suite="toy", title="half", paper="none", control=True, stochastic=True)
    variants: ClassVar = {"default": {}, "third": {"share": 0.33}}
    share: float = 0.5

    def build(self, task: ToyTask) -> torch.Tensor:
        task.calibration(100)
        order = torch.randperm(len(task.base), generator=torch.Generator().manual_seed(task.seed))
        return task.base[order[: int(self.share * len(task.base))]] * (1 + task.seed)


@dataclass(frozen=True)
class TooLarge(Method[ToyTask]):
    """Keeps nine tenths where a half is asked."""

    card = Card(slug="toy-large", suite="toy", title="toy-large", paper="none", control=True)

    def build(self, task: ToyTask) -> torch.Tensor:
        return task.base[: int(0.9 * len(task.base))].clone()


class FirstHalf(Method[ToyTask]):
    """Keeps the first half, after something that a build may do."""

    def build(self, task: ToyTask) -> torch.Tensor:
        self.happen(task)
        return task.base[: len(task.base) // 2].clone()

    def happen(self, task: ToyTask) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Raises(FirstHalf):
    card = Card(slug="toy-raise", suite="toy", title="toy-raise", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        raise RuntimeError("the build went wrong")


@dataclass(frozen=True)
class Exits(FirstHalf):
    card = Card(slug="toy-exit", suite="toy", title="toy-exit", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        os._exit(3)


@dataclass(frozen=True)
class Dies(FirstHalf):
    card = Card(slug="toy-signal", suite="toy", title="toy-signal", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


@dataclass(frozen=True)
class Allocates(FirstHalf):
    card = Card(slug="toy-oom", suite="toy", title="toy-oom", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        raise MemoryError("cannot allocate 10 TiB")


@dataclass(frozen=True)
class IsKilled(FirstHalf):
    card = Card(slug="toy-killed", suite="toy", title="toy-killed", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class BuildsSlowly(FirstHalf):
    card = Card(slug="toy-slow-build", suite="toy", title="toy-slow-build", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        time.sleep(30)


@dataclass(frozen=True)
class Hangs(FirstHalf):
    """Hangs where no Python signal handler can run, as a stuck library call does."""

    card = Card(slug="toy-deaf", suite="toy", title="toy-deaf", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM, signal.SIGINT})
        time.sleep(60)


@dataclass(frozen=True)
class LeavesAChild(FirstHalf):
    """Leaves a process behind that would write a file later."""

    card = Card(slug="toy-fork", suite="toy", title="toy-fork", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        if os.fork() == 0:
            time.sleep(4)
            Path(os.environ["TOY_SURVIVOR"]).write_text("survived")
            os._exit(0)


@dataclass(frozen=True)
class UsesMemory(FirstHalf):
    card = Card(slug="toy-hungry", suite="toy", title="toy-hungry", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        torch.ones(150_000_000)


@dataclass(frozen=True)
class DrawsTooMuch(FirstHalf):
    card = Card(slug="toy-greedy", suite="toy", title="toy-greedy", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        task.calibration(101)


@dataclass(frozen=True)
class AltersTheBase(FirstHalf):
    """Its own alone: the baseline's is in another process."""

    card = Card(slug="toy-vandal", suite="toy", title="toy-vandal", paper="none", control=True)

    def happen(self, task: ToyTask) -> None:
        task.base[0] = 2.0
