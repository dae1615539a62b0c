"""Which new records are refused: what their problem, the baseline's record and the history of the code contradict."""

from typing import Any

import pytest

from bench.analyse.believed import against_baseline, against_problem, refused
from bench.record.schema import Record, Samples
from bench.registry import Registry
from tests.bench.analyse.record_factory import ENVIRONMENT, make_problem, make_record
from tests.bench.publish.site_factory import keyed, make_method, make_registry

REGISTRY = make_registry(make_method("dense", control=True, claims=()), make_method("alpha"))
HISTORY = frozenset({"abc1234"})
LOSSES = [1.0, 1.1, 1.2]


def scored(method: str = "alpha", **changes: Any) -> Record:
    figures = {"stored_bytes": 50.0, "stored_ratio": 0.5} if method != "dense" else {"stored_bytes": 100.0}
    values = {"losses": LOSSES, "right": [1.0, 0.0], "candidate": [0.5] * 8, "baseline": [1.0] * 8, "figures": figures}
    return make_record(method, **{**values, **changes})


DENSE = keyed(scored("dense", point="all", candidate=[1.0] * 8), REGISTRY)


def reasons(*new: Record, before: tuple[Record, ...] = (DENSE,), registry: Registry = REGISTRY) -> list[str]:
    return [each.reason for each in refused(new, before, registry, HISTORY)]


def test_an_honest_record_is_believed() -> None:
    assert reasons(scored()) == []
    assert reasons(DENSE, before=()) == []
    assert reasons(scored(status="failed", reason="it diverged", build=None, quality={}, figures={})) == []
    assert reasons(scored(figures={"stored_bytes": 50.0, "stored_ratio": 0.502})) == []  # with other libraries
    assert reasons(scored(candidate=[2.0] * 8, baseline=[4.0] * 8)) == []  # on a busy machine


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"build": None}, "nothing was built, and the status is ok"),
        ({"losses": None}, "the score that ranks, perplexity, is missing, and the status is ok"),
        ({"right": None}, "quality.accuracy: the score is missing; the baseline's record has it"),
        ({"right": [1.0]}, "quality.accuracy: 1 samples; the exam has 2, by the baseline's record"),
        ({"losses": [*LOSSES, 0.0]}, "quality.perplexity: 4 samples; the exam has 3, by the baseline's record"),
        (
            {"figures": {"stored_bytes": 50.0, "stored_ratio": 0.4}},
            "figures.stored_ratio: 0.4; by the baseline's record it is 0.5",
        ),
        (
            {"baseline": [9.0] * 8},
            "timings.decode.tpot: the baseline took 9 s beside it, and 1 s in its own record",
        ),
        (
            {"environment": ENVIRONMENT.model_copy(update={"commit": "1234567"})},
            "environment.commit: 1234567 is not in the history of this code, so nobody can repeat it",
        ),
        (
            {"environment": ENVIRONMENT.model_copy(update={"commit": None})},
            "environment.commit: none is not in the history of this code, so nobody can repeat it",
        ),
        ({"status": "failed"}, "status failed without a reason"),
        ({"id": DENSE.id}, f"id: {DENSE.id} is taken by a record of dense at all"),
        ({"seconds": -1.0}, "seconds: -1.0 can't be"),
        ({"suite": "gone", "seconds": -1.0}, "seconds: -1.0 can't be"),
    ],
)
def test_what_is_contradicted_is_refused_with_its_sentence(changes: dict[str, Any], said: str) -> None:
    assert reasons(scored(**changes)) == [said]


def test_the_rest_is_believed_beside_what_is_refused() -> None:
    good, bad = scored(), scored(seed=1, build=None)
    [found] = refused([good, bad], [DENSE], REGISTRY, HISTORY)
    assert found.record is bad


def test_two_new_records_can_not_have_one_id() -> None:
    first = scored()
    assert reasons(first, first.model_copy()) == []  # the same record twice is no other
    assert reasons(first, first.model_copy(update={"seed": 9})) == [
        f"id: {first.id} is taken by a record of alpha at half"
    ]


def test_a_key_that_was_made_anew_makes_no_other_record() -> None:
    assert reasons(DENSE.model_copy(update={"key": "of an older rule"})) == []


def test_only_todays_baseline_sat_the_same_exam() -> None:
    longer = scored(losses=[*LOSSES, 0.0])
    for change in ({"key": "old"}, {"suite_version": "0"}, {"point": "other"}, {"base": "large"}, {"status": "failed"}):
        other = DENSE.model_copy(update={"reason": "why", **change})
        assert reasons(longer, before=(other,)) == []
    assert len(reasons(longer)) == 1


def test_times_are_held_against_those_of_the_same_hardware_alone() -> None:
    slow = scored(baseline=[9.0] * 8, hardware="cpu-other")
    assert reasons(slow) == []


def test_without_a_history_no_commit_is_doubted() -> None:
    unknown = scored(environment=ENVIRONMENT.model_copy(update={"commit": "1234567"}))
    assert refused([unknown], [DENSE], REGISTRY, None) == []


def test_what_had_nothing_to_build_needs_no_build() -> None:
    outcome = scored(build=None)
    assert list(against_problem(outcome, make_problem("main"), built=False)) == []


def test_a_failed_run_need_not_have_sat_the_exam() -> None:
    failed = scored(status="failed", reason="it diverged", quality={"perplexity": Samples(samples=[1.0])})
    assert list(against_baseline(failed, DENSE)) == []
