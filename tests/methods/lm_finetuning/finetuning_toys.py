"""Tasks of lm-finetuning on the toy model, for the tests of its methods, and what methods make of them."""

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from bench.contract import Built, Limits, Meter, Method, OperatingPoint, Problem, Setting
from bench.contract.supply import AtHand
from bench.registry import open_registry
from bench.registry.registry import load_problem
from suites._language.adapters import decoder_linears
from suites._language.toy import toy_model
from suites._training.trainer import Trainer
from suites.lm_finetuning.lora import LoRA
from suites.lm_finetuning.patches import Patch


@cache
def problem_of(name: str) -> Problem[Any, Any]:
    return load_problem(open_registry().suite("lm-finetuning"), name)


def setting_of(problem: str, limits: Limits, seed: int = 0) -> Setting:
    return Setting("tiny", "random-llama", OperatingPoint("toy", "Toy", problem, limits), seed)


def toy_task(
    tokens: int = 600,
    dtype: torch.dtype = torch.float32,
    result: Mapping[str, float] | None = None,
    problem: str = "adapt",
    seed: int = 0,
    most_tokens: int = 65_536,
    model: Any = None,
) -> Any:
    """A task with its supplies, on the toy model as it is: nothing is prepared. result: limits, e.g.
    {"shipped_ratio": 0.01}."""
    limits = Limits(result=result or {}, supplies={"training_tokens": tokens})
    setting, meter = setting_of(problem, limits, seed), Meter(limits)
    task = problem_of(problem).task(setting)
    task.supplies = {n: AtHand(each, meter) for n, each in problem_of(problem).supplies(setting).items()}
    task.left = meter.left
    task.most_tokens = most_tokens
    task.model = model or toy_model().to(dtype)
    return task


def drawn(task: Any) -> Counter[str]:
    """What a task has given so far."""
    counted: Counter[str] = task.supplies["validation"].meter.drawn
    return counted


@dataclass(frozen=True)
class Made:
    """What a method made. model: what its patch makes of the base, once the patch was written to disk and read again.
    losses: of its training's steps; validation: along the way."""

    patch: Patch
    model: Any
    trainer: Trainer[Any]
    losses: list[float]
    validation: list[float]
    figures: Mapping[str, float]

    @property
    def shipped(self) -> Mapping[str, Tensor]:
        return self.patch.tensors


def make(method: Method[Any], task: Any) -> Made:
    """Have it built."""
    result = method.build(task)
    built = result if isinstance(result, Built) else Built(result)
    patch = written_and_read(built.candidate)
    scores = {score.name: list(score.samples) for score in built.scores}
    losses, validation = (scores.get(name, []) for name in ("training_loss", "learning_curve"))
    return Made(patch, patch.applied(task.model), built.rig, losses, validation, built.figures)


def written_and_read(thing: Any) -> Any:
    """As it comes out of an artefact."""
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def random_lora(model: Any, rank: int, seed: int, scale: float = 2.0) -> LoRA:
    """Random updates of all linears of the blocks, neither half of them zero."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: model.get_submodule(name).weight.shape for name in decoder_linears(model)}
    return LoRA(
        {name: 0.1 * torch.randn(rank, inputs, generator=generator) for name, (_, inputs) in shapes.items()},
        {name: 0.1 * torch.randn(outputs, rank, generator=generator) for name, (outputs, _) in shapes.items()},
        scale,
    )
