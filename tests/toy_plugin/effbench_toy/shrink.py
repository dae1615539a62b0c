"""A suite in a page: a candidate is a tensor, its error is how much of the base it lacks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import Problem, Score, Served, Setting, Step, Supply, Task, Workload

SIZE = 100_000


@dataclass(kw_only=True)
class ToyTask(Task):
    base: torch.Tensor

    def calibration(self, tokens: int) -> NDArray[np.int64]:
        """Metered as "calibration_tokens"."""
        found: NDArray[np.int64] = self.supplies["calibration"].take(tokens)
        return found


class Numbers(Supply):
    """As many of the first numbers as are asked for."""

    meter = "calibration_tokens"

    def __len__(self) -> int:
        return SIZE

    def take(self, wanted: int) -> NDArray[np.int64]:
        return np.arange(wanted)

    def amount(self, wanted: int) -> int:
        return wanted


class ServedToy(Served[torch.Tensor]):
    def size(self) -> int:
        return len(self.candidate)

    def sum(self, factor: float) -> float:
        return float((self.candidate * factor).sum())


@dataclass(frozen=True)
class Exam:
    """size: of the whole."""

    size: int


class Shrink(Problem[ToyTask, Exam]):
    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        return {"calibration": Numbers()}

    def task(self, setting: Setting) -> ToyTask:
        return ToyTask(scale=setting.scale, seed=setting.seed, device=setting.device, base=torch.ones(SIZE))

    def serve(self, candidate: torch.Tensor, task: ToyTask) -> ServedToy:
        return ServedToy(candidate, task.device)

    def exam(self, setting: Setting) -> Exam:
        return Exam(SIZE)

    def evaluate(self, served: ServedToy, exam: Exam) -> Sequence[Score]:
        return [Score("error", [float(exam.size - served.size()), served.sum(1.0)])]

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        def trial(rng: np.random.Generator) -> Iterator[Step]:
            factor = float(rng.random())
            for _ in range(4):
                yield Step("sum", "sum", (factor,))

        return [Workload("sum", trial, min_trials=5, max_trials=20)]
