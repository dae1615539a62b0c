"""A problem that is small and complete: layers on vectors, scored one input at a time, timed in batches."""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.contract import Problem, Score, Served, Setting, Step, Supply, Task, Workload, only_the_judge
from bench.contract.cache import made_once

WIDTH, DEPTH, BATCH = 256, 8, 512


@dataclass(kw_only=True)
class ArenaTask(Task):
    base: nn.Sequential

    def examples(self, count: int) -> Any:
        """Inputs (count, width), metered as "examples"."""
        return self.supplies["examples"].take(list(range(count)))


class Examples(Supply):
    meter = "examples"

    def __init__(self) -> None:
        only_the_judge("the arena's examples")
        self.inputs = np.random.default_rng(3).standard_normal((256, WIDTH), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, wanted: Sequence[int]) -> Any:
        return self.inputs[list(wanted)]


class ServedLayers(Served[Any]):
    def answer(self, x: Any) -> Tensor:
        """One input (width,) on its own, as it is scored."""
        return self.forward(torch.from_numpy(np.array(x)).to(self.device)[None])[0]

    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        return self.candidate(x)


class Vectors(Problem[ArenaTask, Mapping[str, Any]]):
    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        return {"examples": Examples()}

    def task(self, setting: Setting) -> ArenaTask:
        return ArenaTask(scale=setting.scale, seed=setting.seed, device=setting.device, base=base().to(setting.device))

    def serve(self, candidate: Any, task: ArenaTask) -> ServedLayers:
        return ServedLayers(candidate, task.device)

    def counted(self, task: ArenaTask) -> Step:
        return Step("forward", "forward", (np.ones((BATCH, WIDTH), dtype=np.float32),), units=BATCH)

    def exam(self, setting: Setting) -> Mapping[str, Any]:
        return pickle.loads(exam_file().read_bytes())

    def evaluate(self, served: Any, exam: Mapping[str, Any]) -> Sequence[Score]:
        pairs = zip(exam["inputs"], exam["answers"], strict=True)
        return [Score("error", [float(np.square(served.answer(x) - y).mean()) for x, y in pairs])]

    def workloads(self, exam: Mapping[str, Any]) -> Sequence[Workload]:
        return [batches(BATCH)]


def batches(size: int) -> Workload:
    def trial(rng: np.random.Generator) -> Iterator[Step]:
        x = rng.standard_normal((size, WIDTH), dtype=np.float32)

        def check(result: Any, served: Any) -> str | None:
            difference = float(np.square(result[0] - served.answer(x[0])).mean())
            return None if difference < 1e-6 else f"differs from the scored answer by {difference:.2g}"

        yield Step("latency", "forward", (x,), units=size, check=check)

    return Workload("forward", trial, unit="input", min_trials=20, max_trials=200, at_batch=batches)


def base() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH))).eval().requires_grad_(False)


def exam_file() -> Path:
    """Inputs and the base's answers."""
    return made_once("data", "arena-exam", _write) / "exam.pkl"


def _write(folder: Path) -> None:
    only_the_judge("the arena's exam")
    inputs = torch.randn(16, WIDTH, generator=torch.Generator().manual_seed(1))
    exam = {"inputs": inputs.numpy(), "answers": base()(inputs).numpy()}
    (folder / "exam.pkl").write_bytes(pickle.dumps(exam))
