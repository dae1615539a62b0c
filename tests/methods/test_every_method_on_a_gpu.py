"""Every method of the language suites, at toy size, on a GPU: it ends well there, and scores what it scores on a CPU
where no chance is in it.

Each at the first operating point that it supports. Minutes; `effbench run --scale tiny --device cuda` shows the same
run by run.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.record.schema import Outcome
from bench.registry import Registry, open_registry
from bench.run.local import LocalExecutor
from bench.run.plan import Job, Selection, make_plan
from bench.run.runner import planned

CLOSE = 0.02
"""Relative difference of a score that rounding may make."""


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor() as executor:
        yield executor


@pytest.mark.gpu
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("suite", ["lm-compression", "lm-finetuning"])
def test_every_method_runs_on_a_gpu_and_scores_what_it_does_on_a_cpu(
    cuda: str, suite: str, executor: LocalExecutor
) -> None:
    registry = open_registry()
    problems = {
        slug: problem
        for slug in registry.methods_of(suite)
        if (problem := difference(registry, executor, suite, slug, cuda))
    }
    assert problems == {}


def difference(registry: Registry, executor: LocalExecutor, suite: str, slug: str, device: str) -> str | None:
    """What is wrong on the device, or None."""
    job, here = first_supported(registry, executor, suite, slug)
    there = run(registry, executor, replace(job, device=device))
    if here.status != "ok" or there.status != "ok":
        return f"{job.label}: {here.status} on a CPU ({here.reason}), {there.status} there ({there.reason})"
    name = registry.suite(suite).problem_of(job.point).primary.name
    values = [sum(outcome.quality[name].samples) for outcome in (here, there)]
    if registry.method(suite, slug).card.stochastic or abs(values[0] - values[1]) <= CLOSE * abs(values[0]):
        return None
    return f"{job.label}: {name} sums up to {values[0]:.6g} on a CPU, {values[1]:.6g} there"


def first_supported(registry: Registry, executor: LocalExecutor, suite: str, slug: str) -> tuple[Job, Outcome]:
    """The first job of a method that is not unsupported, with its outcome on a CPU."""
    for base in registry.suite(suite).bases["tiny"]:
        wanted = Selection(suite, [slug], seeds=[0], scale="tiny", base=base, threads=1, timed=False)
        for job in sorted(make_plan(registry, wanted), key=lambda job: job.variant != "default"):
            outcome = run(registry, executor, job)
            if outcome.status != "unsupported":
                return job, outcome
    raise AssertionError(f"{slug} supports no operating point of {suite} at toy size")


def run(registry: Registry, executor: LocalExecutor, job: Job) -> Outcome:
    each = planned(registry, job)
    outcome, _ = executor.execute(each.order, each.info.timeout[job.scale], each.info.preload)
    return outcome
