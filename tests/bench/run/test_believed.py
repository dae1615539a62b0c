"""The runner believes no outcome that contradicts itself, its problem, or the baseline's record."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench.record import store
from bench.record.schema import Build, Isolation, Outcome, Record, Samples
from bench.registry import Registry
from bench.run.order import Order
from bench.run.plan import Selection, make_plan
from bench.run.runner import Planned, planned, run_one
from tests.bench.small_checkout import make_checkout, registry_of


@dataclass
class Told:
    """An executor that gives this outcome for whatever it is told to run."""

    outcome: Outcome
    isolation: Isolation = "none"

    def execute(self, order: Order, timeout: float, preload: Sequence[str] = ()) -> tuple[Outcome, str]:
        return self.outcome.model_copy(deep=True), ""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_of(make_checkout(tmp_path))


def plan(registry: Registry, method: str) -> Planned:
    (job,) = make_plan(registry, Selection("demo", [method], scale="tiny", threads=1))
    return planned(registry, job)


def outcome(**changes: Any) -> Outcome:
    values = {
        "status": "ok", "quality": {"perplexity": Samples(samples=[1.0, 2.0])},
        "figures": {"stored_bytes": 50.0, "stored_ratio": 0.5}, "build": Build(seconds=1.0, peak_memory_bytes=1.0),
    }  # fmt: skip
    return Outcome(**{**values, **changes})


def run(each: Planned, told: Outcome, results: Path) -> Record:
    return run_one(each, results, timeout=None, executor=Told(told))


def test_an_outcome_that_makes_sense_is_ok(registry: Registry, tmp_path: Path) -> None:
    dense = run(plan(registry, "dense"), outcome(figures={"stored_bytes": 100.0, "stored_ratio": 1.0}), tmp_path)
    store.append(tmp_path, dense)
    assert run(plan(registry, "alpha"), outcome(), tmp_path).status == "ok"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"build": None}, "nothing was built"),
        ({"quality": {}}, "the score that ranks, perplexity, is missing"),
        ({"quality": {"perplexity": Samples(samples=[float("nan")])}}, "not a number"),
        ({"figures": {"stored_ratio": -0.5}}, "-0.5 can't be"),
        ({"quality": {"perplexity": Samples(samples=[1.0])}}, "1 samples; the exam has 2, by the baseline's record"),
        ({"figures": {"stored_bytes": 90.0, "stored_ratio": 0.5}}, "0.5; by the baseline's record it is 0.9"),
    ],
)
def test_one_that_makes_none_is_failed_with_its_sentence(
    changes: dict[str, Any], said: str, registry: Registry, tmp_path: Path
) -> None:
    dense = run(plan(registry, "dense"), outcome(figures={"stored_bytes": 100.0, "stored_ratio": 1.0}), tmp_path)
    store.append(tmp_path, dense)
    record = run(plan(registry, "alpha"), outcome(**changes), tmp_path)
    assert record.status == "failed"
    assert said in (record.reason or "")


def test_an_artefact_that_is_judged_as_it_is_needs_no_build(registry: Registry, tmp_path: Path) -> None:
    each = plan(registry, "alpha")
    made = replace(each, order=replace(each.order, made="somewhere"))
    assert run(made, outcome(build=None), tmp_path).status == "ok"
