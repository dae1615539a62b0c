"""Whose scores a ranking of all hardware takes, and what never crosses from one to another."""

import math
from typing import Any

import pytest

from bench.analyse.elsewhere import beside, of_hardware, scoring, timing
from bench.analyse.recovery import training_of
from bench.analyse.rows import make_rows
from bench.analyse.summary import row_costs, row_quality
from bench.record.schema import Record, Samples
from tests.bench.analyse.record_factory import make_info, make_record

INFO = make_info()
TIMES: dict[str, Any] = {"candidate": [0.1] * 20, "baseline": [0.2] * 20}


def is_stale(record: Record) -> bool:
    return record.key == "old"


@pytest.mark.parametrize(
    ("runs", "taken"),
    [
        ([{"age": 2}, {"hardware": "cpu-other", "age": 1}], 1),  # the newest
        ([{"age": 2}, {"hardware": "cpu-other", "age": 1, "key": "old"}], 0),  # of today's code
        ([{"status": "timeout", "reason": "slow"}, {"hardware": "cpu-other", "age": 9}], 1),  # that succeeded
        ([{"status": "failed", "reason": "it broke"}, {"hardware": "cpu-other", "key": "old"}], 0),  # of today's code
        ([{"status": "failed", "key": "old", "reason": "x"}, {"hardware": "cpu-other", "key": "old", "age": 9}], 1),
    ],
)
def test_of_each_seed_one_record_tells_the_scores(runs: list[dict[str, Any]], taken: int) -> None:
    records = [make_record(**run) for run in runs]
    for order in (records, records[::-1]):
        (found,) = scoring(order, is_stale)
        assert found is records[taken]


def test_seeds_may_come_from_any_hardware_and_have_the_settings_of_the_newest() -> None:
    records = [
        make_record(seed=0, age=3, hyperparameters={"rate": 2}),
        make_record(seed=1, hardware="cpu-other", age=2, hyperparameters={"rate": 2}),
        make_record(seed=2, age=9, hyperparameters={"rate": 1}),
        make_record(seed=3, key="old", hyperparameters={"rate": 7}),  # the newest, of older code
    ]
    assert scoring(records, is_stale) == records[:2]


def test_times_are_those_of_the_hardware_itself_and_scores_and_exact_figures_cross() -> None:
    here = make_record(losses=[9.0, 9.0], figures={"stored_ratio": 0.9}, **TIMES)
    there = make_record(losses=[1.0, 2.0], hardware="cpu-other", candidate=[0.5] * 20, baseline=[0.5] * 20)
    there = there.model_copy(update={"quality": there.quality | {"seconds_to_level": Samples(samples=[4.0])}})
    (row,) = make_rows([beside(there, timing(there, {0: here}), "cpu-test", INFO)])
    assert row.board.hardware == "cpu-test"
    assert row.scores("perplexity")[0] == [there.quality["perplexity"]]
    assert "seconds_to_level" not in row_quality(row)  # it is of the other machine
    costs = row_costs(row)
    assert (costs["stored_ratio"].value, costs["decode.tpot.ratio"].value) == (0.5, pytest.approx(0.5))
    assert costs["memory.peak"].n == costs["build.seconds"].n == 1
    assert of_hardware([row]) >= {"decode.tpot", "decode.tpot.ratio", "memory.peak", "build.seconds"}
    assert "stored_ratio" not in of_hardware([row])
    assert row.home.hardware == "cpu-other"


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"hyperparameters": {"rate": 2}}, {"status": "failed", "reason": "x"}]
)
def test_times_of_another_seed_or_setting_are_none_of_it(changes: dict[str, Any]) -> None:
    own = make_record(**{"losses": [1.0], **TIMES, **changes})
    assert timing(make_record(losses=[1.0], hardware="cpu-other"), {own.seed: own}) is None


def test_what_did_not_run_there_took_nothing_there_but_was_trained_all_the_same() -> None:
    there = make_record(losses=[1.0, 2.0], hardware="cpu-other", **TIMES)
    assert there.build is not None
    build = there.build.model_validate(there.build.model_dump() | {"drawn": {"training_tokens": 100}})
    there = there.model_copy(update={"build": build})
    (row,) = make_rows([beside(there, None, "cpu-test", INFO)])
    assert not any("." in name or math.isnan(cost.value or 0) for name, cost in row_costs(row).items())
    assert training_of(row) == {"training_tokens": 100}
