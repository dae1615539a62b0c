"""Tasks of lm-compression around any model and any text, for the tests of its methods."""

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.contract import Limits, Meter, OperatingPoint, Problem, Setting, Supply
from bench.contract.supply import AtHand
from bench.measure.flops import count_operators
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run.artefact import weight
from bench.run.weigh import ELEMENTWISE, Scale
from suites._language.tokens import Tokens
from suites.lm_compression.task import CausalLMTask, Split

Weigh = Callable[[Any], Mapping[str, float]]


@cache
def problem() -> Problem[CausalLMTask, Any]:
    return load_problem(open_registry().suite("lm-compression"), "compress")


def task_around(
    model: Any,
    weigh: Weigh = lambda candidate: {},
    limits: Limits | None = None,
    *,
    calibration: Sequence[int] = (),
    training: Sequence[int] = (),
    tokenizer: Any = None,
    seed: int = 0,
) -> CausalLMTask:
    """A task with this model and these token ids, under the meter of the limits."""
    task = CausalLMTask(
        scale="tiny", seed=seed, weigh=weigh, load_model=lambda: model, load_tokenizer=lambda: tokenizer
    )
    texts = {"calibration": calibration, "training": training}
    supplies = {name: Tokens(np.array(ids, dtype=np.int64), f"{name}_tokens") for name, ids in texts.items()}
    supplied(task, supplies, limits or Limits())
    return task


def task_of_the_suite(setting: Setting, model: Any = None) -> CausalLMTask:
    """What the suite gives, weighed as the judge weighs. model: in the place of the suite's own."""
    task: CausalLMTask = problem().task(setting)
    supplied(task, _supplies(setting.scale, setting.base), setting.point.limits)
    if model is not None:
        task.model = model
    task.weigh = Scale(problem(), task, _figures_of_dense(task)).weigh
    return task


def supplied(task: CausalLMTask, supplies: Mapping[str, Supply], limits: Limits) -> None:
    """Give the task its supplies, under a meter of these limits."""
    meter = Meter(limits)
    task.limits, task.left = limits, meter.left
    task.supplies = {name: AtHand(supply, meter) for name, supply in supplies.items()}


@cache
def _supplies(scale: str, base: str) -> Mapping[str, Supply]:
    """Of the suite; to tokenise them takes most of the time that a task takes."""
    return problem().supplies(Setting(scale, base, OperatingPoint("any", "", "compress", Limits()), seed=0))


def _figures_of_dense(task: CausalLMTask) -> Mapping[str, float]:
    """As the judge finds them; the elementwise work of the dense model counts for nobody."""
    step = problem().counted(task)
    assert step is not None
    served = problem().serve(task.model, task)
    work = count_operators(lambda: getattr(served, step.call)(*served.place(step.inputs)))
    return {
        "stored_bytes": weight(task.model),
        "flops": work.products / step.units,
        ELEMENTWISE: work.elementwise / step.units,
    }


def limited(task: CausalLMTask, **result: float) -> CausalLMTask:
    """The same task under other limits on the result."""
    other = copy.copy(task)
    other.limits = replace(task.limits, result=result)
    return other


def drawn(task: CausalLMTask) -> Counter[str]:
    """What the task has given so far."""
    counted: Counter[str] = task.supplies["calibration"].meter.drawn  # type: ignore[attr-defined]
    return counted


def text_of(task: CausalLMTask, split: Split = "calibration") -> Tensor:
    """All tokens of a split, without drawing them."""
    supply = task.supplies[split].supply  # type: ignore[attr-defined]
    return torch.from_numpy(supply.take((0, len(supply))))


@dataclass(frozen=True)
class Fitting:
    """A training that was asked for."""

    model: Any
    batches: Sequence[Tensor]
    loss: Callable[[Tensor], Tensor]
    settings: Mapping[str, Any]


def fittings(monkeypatch: pytest.MonkeyPatch, module: str) -> list[Fitting]:
    """The trainings that the functions of a module ask for from now on; none of them is done."""
    found: list[Fitting] = []

    def fit(model: Any, batches: Any, loss: Callable[[Tensor], Tensor], **settings: Any) -> list[float]:
        found.append(Fitting(model, list(batches), loss, settings))
        return []

    monkeypatch.setattr(f"{module}.fit", fit)
    return found


@torch.no_grad()
def divergence(teacher: Any, model: Any, ids: Tensor) -> float:
    """KL(teacher || model) of the next token, nats, term by term; mean over the tokens of ids (batch, length)."""
    p, q = (each(input_ids=ids).logits.double().softmax(-1) for each in (teacher, model))
    return float((p * (p / q).log()).sum(-1).mean())


@torch.no_grad()
def next_token(model: Any, ids: Tensor) -> float:
    """Mean cross entropy of the next token, nats; ids: (batch, length)."""
    log_probs = model(input_ids=ids).logits.double().log_softmax(-1)[:, :-1]
    return -float(log_probs.gather(-1, ids[:, 1:, None]).mean())
