"""What no run can have left is said, a sentence each; what a run can leave is not doubted."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.record import store
from bench.record.schema import Build, Energy, Outcome, Record, Samples, Throughput
from bench.record.sense import contradictions
from tests.bench.analyse.record_factory import make_record

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime.now(UTC)
RECORD = make_record(losses=[1.0, 2.0], candidate=[1.0] * 8, baseline=[2.0] * 8)
TIMING = RECORD.timings["decode"]["tpot"]


def throughput(**changes: Any) -> Throughput:
    values = {"unit": "token", "memory_limit_bytes": 1e9, "candidate_batch": 1, "baseline_batch": 1, "candidate": [1.0],
              "baseline": [1.0], "candidate_tried": [], "baseline_tried": []}  # fmt: skip
    return Throughput(**{**values, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"status": "failed", "reason": "it diverged", "quality": {"loss": Samples(samples=[math.nan])}, "build": None},
        {"quality": {"perplexity": Samples(samples=[math.inf])}},
        {"figures": {"stored_ratio": math.inf, "balance": -1.0}},
        {"memory": {"build.outside_grown": -4096.0}},
        {"started": NOW + timedelta(minutes=5)},
        {"throughput": {"decode": throughput(baseline=[])}},
    ],
)
def test_what_a_run_can_leave_is_not_doubted(changes: dict[str, Any]) -> None:
    assert list(contradictions(RECORD.model_copy(update=changes))) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "failed"}, "status failed without a reason"),
        ({"status": "over_budget", "reason": " \n"}, "status over_budget without a reason"),
        ({"quality": {"perplexity": Samples(samples=[])}}, "quality.perplexity: no samples"),
        ({"quality": {"loss": Samples(samples=[1, 2], weights=[1])}}, "quality.loss: 1 weights for 2 samples"),
        (
            {"quality": {"loss": Samples(samples=[1.0, math.nan])}},
            "quality.loss: not a number among the samples of a run with status ok",
        ),
        ({"figures": {"stored_ratio": -0.5}}, "figures.stored_ratio: -0.5 can't be"),
        ({"figures": {"balance": math.nan}}, "figures.balance: nan can't be"),
        (
            {"timings": {"decode": {"tpot": TIMING.model_copy(update={"baseline": [1.0] * 7})}}},
            "timings.decode.tpot: 8 times beside 7",
        ),
        (
            {"timings": {"decode": {"tpot": TIMING.model_copy(update={"candidate": [0.0] * 8})}}},
            "timings.decode.tpot: a time that is not above zero",
        ),
        (
            {"throughput": {"decode": throughput(candidate=[-1.0])}},
            "throughput.decode: a time that is not above zero",
        ),
        *(
            (
                {"energy": {"decode": Energy(candidate=[1.0, odd], baseline=[1.0, 1.0], unit="token", source="rapl")}},
                "energy.decode: joules that are not above zero",
            )
            for odd in (0.0, -1.0, math.inf, math.nan)
        ),
        ({"build": Build(seconds=-2, peak_memory_bytes=0)}, "build.seconds: -2.0 can't be"),
        (
            {"build": Build(seconds=2, processor_seconds=math.inf, peak_memory_bytes=0)},
            "build.processor_seconds: inf can't be",
        ),
        ({"seconds": -1.0}, "seconds: -1.0 can't be"),
        ({"started": NOW.replace(year=2100)}, "is in the future"),
        (
            {"started": datetime(1969, 7, 20, tzinfo=UTC)},
            "started: 1969-07-20 00:00 was before there was such a record",
        ),
        ({"started": datetime(2025, 1, 1)}, "started: no time zone, so that it can't be put in order"),
    ],
)
def test_what_no_run_can_have_left_is_said(changes: dict[str, Any], said: str) -> None:
    [found] = contradictions(RECORD.model_copy(update=changes))
    assert found == said or (said == "is in the future" and found.endswith(said))


def test_an_outcome_is_judged_before_it_is_a_record() -> None:
    assert list(contradictions(Outcome(status="timeout"))) == ["status timeout without a reason"]


def test_such_a_record_is_not_read_and_the_reason_is_told(tmp_path: Path) -> None:
    store.append(tmp_path, RECORD)
    store.append(tmp_path, RECORD.model_copy(update={"id": "b", "status": "failed"}))
    records, [broken] = store.read_all(tmp_path)
    assert [record.id for record in records] == [RECORD.id]
    assert str(broken).endswith("alpha.jsonl:2: status failed without a reason")


def test_every_committed_record_makes_sense() -> None:
    records, broken = store.read_all(ROOT / "results")
    assert broken == []
    assert all(isinstance(record, Record) for record in records)
