"""A method that works on toy weights alone, as theirs are of another type of number, does not pass `effbench check`."""

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from bench.contract import SCALES
from bench.record.schema import Outcome
from bench.registry import Listed, Registry, open_registry
from bench.registry.content import Contents
from bench.registry.literals import methods_written
from bench.registry.suites import BadSuite, read_suite
from bench.registry.tree import WorkTree
from bench.run.local import LocalExecutor
from bench.run.plan import Job, Selection, make_plan
from bench.submit.checks import precision
from bench.submit.subject import MethodSubject
from bench.submit.trials import Trial, Trials
from tests.bench.small_checkout import SUITE

ROOT = Path(__file__).resolve().parents[3]
REGISTRY = open_registry(ROOT, plugins=False)
LM = [slug for slug, info in REGISTRY.suites.items() if info.dtype]
PLANTED = '''"""A method for one test."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bench.contract import Card, Method
from suites.lm_compression.task import CausalLMTask


class Norm(nn.Module):
    """A part of what is shipped."""

    def forward(self, x):
        return x + 0 * torch.linalg.svdvals(x).sum()


@dataclass(frozen=True)
class Planted(Method[CausalLMTask]):
    """Hands on the base."""

    card = Card(slug="planted", suite="lm-compression", title="Planted", paper="none", control=True)
    variants = {"default": {}, "second": {"second": True}}
    second: bool = False

    def supports(self, task):
        return None

    def build(self, task):
        model = copy.deepcopy(task.model)
        weight = model.get_input_embeddings().weight.detach()
        WORK
        return model
'''
LINE = next(n for n, line in enumerate(PLANTED.splitlines(), 1) if line.strip() == "WORK")
IN_BFLOAT16_ALONE = {
    "torch.linalg.inv(torch.eye(4, dtype=weight.dtype))": "linalg.inv: Low precision dtypes not supported",
    "torch.linalg.cholesky(torch.eye(4, dtype=weight.dtype))": "not implemented for 'BFloat16'",
    "weight @ torch.ones(64)": "same dtype",
    "weight.numpy()": "unsupported ScalarType BFloat16",
    "np.asarray(weight)": "unsupported ScalarType BFloat16",
    "assert weight.dtype == torch.float32, 'only float32'": "AssertionError: only float32",
    "torch.quantile(weight[0], 0.5)": "either float or double",
    "task.supports_only = {torch.float32: 1}[weight.dtype]": "KeyError: torch.bfloat16",
}
"""Works in float32; what is said of it in bfloat16."""
IN_BOTH = (
    "torch.linalg.inv(torch.eye(4, dtype=weight.dtype).float())",
    "weight @ torch.ones(64, dtype=weight.dtype)",
    "weight.float().numpy()",
    "assert model.model.rotary_emb.inv_freq.dtype == torch.float32  # is never stored, so it is never cast",
)


def quick(works: Iterable[str], count: int) -> list[Any]:
    """The first ones; the others take as long again and are slow."""
    return [pytest.param(work, marks=[pytest.mark.slow] if at >= count else []) for at, work in enumerate(works)]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plug-in") / "planted_for_precision"
    folder.mkdir()
    (folder / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def trials(planted: Path) -> Iterator[Trials]:
    path = os.pathsep.join([str(planted.parent), str(ROOT)])
    variables = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    with Trials(REGISTRY, LocalExecutor(variables=variables)) as trials:
        yield trials


@pytest.fixture
def problems_of(planted: Path, trials: Trials, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """What the check says of PLANTED with this work, at the point without a limit."""
    monkeypatch.syspath_prepend(str(planted.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def problems(work: str) -> list[str]:
        file = planted / "method.py"
        file.write_text(PLANTED.replace("WORK", work))
        importlib.invalidate_caches()
        (written,) = methods_written(file.read_bytes())
        listed = Listed(
            "lm-compression", "planted_for_precision.method", written.name, "external", PurePosixPath(file),
            written.card, written.doc, written.variants, written.at_point,
        )  # fmt: skip
        tree = WorkTree(ROOT, frozenset({"planted_for_precision"}))
        methods = {**REGISTRY.methods, ("lm-compression", "planted"): listed}
        trials.registry = replace(REGISTRY, tree=tree, methods=methods, contents=Contents(tree))
        wanted = Selection("lm-compression", ["planted:default@unlimited"], (), (0,), "tiny", threads=1, timed=False)
        (job,) = make_plan(trials.registry, wanted)
        subject = MethodSubject(trials.registry, listed, trials, job)
        found = list(precision.problems(subject))
        assert subject.trial(job).outcome.status == "ok"
        return found

    return problems


@pytest.mark.parametrize("work", quick(IN_BFLOAT16_ALONE, 2))
def test_what_raises_in_bfloat16_alone_is_found_with_type_and_line(
    work: str, problems_of: Callable[[str], list[str]]
) -> None:
    (problem,) = problems_of(work)
    assert problem.startswith("default at unlimited in bfloat16, the type of the base at the embedded scale: failed: ")
    assert IN_BFLOAT16_ALONE[work] in problem
    assert problem.endswith(f"(method.py:{LINE})")


def test_what_is_shipped_may_raise_too(problems_of: Callable[[str], list[str]]) -> None:
    (problem,) = problems_of("model.model.norm = Norm()")
    assert "in bfloat16" in problem
    assert "method.py:" in problem


@pytest.mark.parametrize("work", quick(IN_BOTH, 1))
def test_what_works_in_both_passes(work: str, problems_of: Callable[[str], list[str]]) -> None:
    assert problems_of(work) == []


@pytest.mark.parametrize(("suite", "method"), [("lm-compression", "rtn"), ("lm-finetuning", "lora")])
def test_every_variant_is_tried_at_the_strictest_point_of_each_kind_that_it_meets(suite: str, method: str) -> None:
    tried: list[Job] = []

    def run(job: Job) -> Trial:
        tried.append(job)
        return Trial(Outcome(status="unsupported", reason="x") if job.point.endswith("-25") else Outcome(status="ok"))

    subject = MethodSubject(REGISTRY, REGISTRY.method(suite, method), run)
    assert list(precision.problems(subject)) == []
    cast = [job for job in tried if job.dtype]
    assert {job.variant for job in cast} == set(subject.variants)
    assert {job.dtype for job in cast} == {"bfloat16"}
    assert {job.scale for job in cast} == {"tiny"}
    if suite == "lm-compression":
        assert {job.point for job in cast} == {"unlimited", "size-50", "compute-50"}
    assert not list(precision.problems(MethodSubject(REGISTRY, REGISTRY.method("operator-data", "gmres"), run)))


@pytest.mark.parametrize("status", ["timeout", "out_of_memory", "failed"])
def test_every_failure_counts_and_what_can_not_be_there_does_not(status: str) -> None:
    def run(job: Job) -> Trial:
        return Trial(Outcome(status=status if job.dtype else "ok", reason="why"))

    listed = REGISTRY.method("lm-compression", "flap")
    found = list(precision.problems(MethodSubject(REGISTRY, listed, run)))
    assert found
    assert all(f"in bfloat16, the type of the base at the embedded scale: {status}: why" in each for each in found)


@pytest.mark.parametrize("suite", LM)
def test_what_a_suite_declares_is_what_it_loads(suite: str) -> None:
    from suites._language.base import load_model, missing

    info = REGISTRY.suites[suite]
    base = info.bases["embedded"][0]
    if reason := missing("embedded", base):
        pytest.skip(reason)
    assert {str(p.dtype) for p in load_model("embedded", base, "cpu").parameters()} == {"torch.bfloat16"}
    assert info.dtype["embedded"] == "bfloat16"
    toys = {str(p.dtype) for base in info.bases["tiny"] for p in load_model("tiny", base, "cpu").parameters()}
    assert toys == {"torch.float32"}


def test_a_suite_whose_base_has_a_type_says_so() -> None:
    """Of the suites with weights of a language model none is forgotten."""
    for slug, info in REGISTRY.suites.items():
        is_language = "transformers" in info.libraries
        assert bool(info.dtype) is is_language, slug


@pytest.mark.parametrize("dtype", ['{ embedded = "bf16" }', '{ huge = "bfloat16" }', "{ embedded = 16 }"])
def test_a_type_that_is_none_is_refused(dtype: str) -> None:
    text = SUITE.replace('version = "1"', f'version = "1"\ndtype = {dtype}')
    with pytest.raises(BadSuite, match=f"scales are {', '.join(SCALES)}, types float16, bfloat16"):
        read_suite(text.encode(), PurePosixPath("suites/demo"), "suites.demo")


def test_a_problem_without_a_base_to_load_is_told(toy_registry: Registry) -> None:
    (job,) = make_plan(toy_registry, Selection("toy", ["toy-half:default@unlimited"], (), (0,), "tiny", threads=1))
    with Trials(toy_registry) as run:
        outcome = run(replace(job, dtype="bfloat16", timed=False)).outcome
    assert "ToyTask has no load_model" in str(outcome.reason)
