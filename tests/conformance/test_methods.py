"""What every registered method must do, at tiny scale. A new method gets all of it without writing a test."""

import dataclasses
import inspect
import re
from functools import cache

import pytest

from bench.contract.registry import configured, load
from bench.record.schema import Outcome
from bench.run.plan import Job, hyperparameters, make_plan
from bench.run.worker import run

REGISTRY = load()
JOBS = [job for suite in sorted(REGISTRY.suites) for job in make_plan(REGISTRY, suite=suite, scale="tiny", seeds=[0])]
CONFIGURATIONS = list(dict.fromkeys((job.method, job.variant) for job in JOBS))


@cache
def outcome(job: Job) -> Outcome:
    """One run in this process; shared by the tests below."""
    return run(job)


def label(job: Job) -> str:
    return f"{job.method}:{job.variant}@{job.point}"


@cache
def supported(method: str, variant: str) -> Job:
    """The first operating point that the method supports at tiny scale."""
    for job in JOBS:
        if (job.method, job.variant) == (method, variant) and outcome(job).status == "ok":
            return job
    pytest.fail(f"{method}:{variant} is ok at no operating point of its suite at tiny scale")


def test_everything_could_be_imported() -> None:
    assert REGISTRY.problems == ()


@pytest.mark.parametrize("job", JOBS, ids=label)
def test_ends_well_at_every_point(job: Job) -> None:
    """Within the limits, inputs unchanged, scored and timed; or unsupported, with a reason."""
    result = outcome(job)
    assert result.status in ("ok", "unsupported"), result.reason
    if result.status == "unsupported":
        assert result.reason
        assert len(result.reason) > 15
        return
    info = REGISTRY.suite(job.suite).info
    assert info.primary.name in result.quality
    for name, allowed in info.points[job.point].limits.result.items():
        if name in result.figures:
            assert result.figures[name] <= allowed
    assert result.timings
    for phases in result.timings.values():
        for timing in phases.values():
            assert len(timing.candidate) == len(timing.baseline) > 0
            assert min(timing.candidate) > 0
    assert result.build is not None


@pytest.mark.parametrize(("method", "variant"), CONFIGURATIONS)
def test_is_deterministic_under_a_seed(method: str, variant: str) -> None:
    job = supported(method, variant)
    first, second = outcome(job), run(job)
    assert second.quality == first.quality
    assert second.figures == first.figures
    assert second.build is not None
    assert first.build is not None
    assert second.build.drawn == first.build.drawn


@pytest.mark.parametrize(("method", "variant"), CONFIGURATIONS)
def test_seed_matters_just_where_the_card_says_so(method: str, variant: str) -> None:
    job = supported(method, variant)
    other = run(dataclasses.replace(job, seed=1))
    differs = other.quality != outcome(job).quality
    if not REGISTRY.method(method).card.stochastic:
        assert not differs, "the result depends on the seed: set stochastic=True on the card"


@pytest.mark.parametrize(("method", "variant"), CONFIGURATIONS)
def test_is_a_frozen_dataclass_with_plain_fields(method: str, variant: str) -> None:
    cls = REGISTRY.method(method)
    assert dataclasses.is_dataclass(cls)
    instance = configured(cls, variant)
    with pytest.raises(dataclasses.FrozenInstanceError):
        instance.anything = 1  # type: ignore[attr-defined]
    job = next(job for job in JOBS if (job.method, job.variant) == (method, variant))
    for name, value in hyperparameters(REGISTRY, job).items():
        assert isinstance(value, int | float | str | bool | tuple | None), f"{name} can't be written to a record"


@pytest.mark.parametrize("method", sorted(REGISTRY.methods))
def test_card_is_complete(method: str) -> None:
    cls = REGISTRY.method(method)
    card = cls.card
    assert card.suite in REGISTRY.suites
    assert card.title
    assert card.paper
    assert len(inspect.getdoc(cls) or "") > 60, "the class docstring is the summary on the site"
    if not card.control:
        assert card.url
        assert re.search(r"\b(19|20)\d\d\b", card.paper), "the citation names the year"


@pytest.mark.parametrize(
    ("method", "index"),
    [(slug, i) for slug, cls in sorted(REGISTRY.methods.items()) for i in range(len(cls.card.claims))],
)
def test_claim_can_be_held_against_records(method: str, index: int) -> None:
    cls = REGISTRY.method(method)
    claim = cls.card.claims[index]
    info = REGISTRY.suite(cls.card.suite).info
    assert claim.source
    assert claim.metric in info.scores or claim.metric in info.costs, f"{claim.metric} is no score or cost of the suite"
    if claim.versus is not None:
        assert claim.versus.partition(":")[0] in REGISTRY.methods_of(info.slug)
