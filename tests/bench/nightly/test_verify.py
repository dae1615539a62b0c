"""A record run again: what counts as reproduced, and what an audit makes of many."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import cli
from bench.nightly.audit import as_json, as_markdown, audit, draw, passes
from bench.nightly.verify import NotVerifiable, Verification, compare, find_record, verify
from bench.record import store
from bench.record.schema import Record, Timing
from bench.registry import Registry, UnknownName
from bench.run.plan import Selection, make_plan
from tests.bench.nightly.night_bench import Bench, jobs_of, past_nights

METHODS = ("toy-dense", "toy-half:default", "toy-half:third", "toy-large", "toy-vandal")


@pytest.fixture
def records(toy_registry: Registry, bench: Bench, tmp_path: Path) -> list[Record]:
    return past_nights(toy_registry, bench, tmp_path, jobs_of(toy_registry, *METHODS), 6, commit="abc")


@pytest.fixture
def again(
    toy_registry: Registry, bench: Bench, tmp_path: Path, records: list[Record]
) -> Callable[[Record], Verification]:
    return lambda record: verify(toy_registry, record, records, tmp_path, executor=bench)


def outcomes(verification: Verification) -> dict[str, str]:
    return {check.figure: check.outcome for check in verification.checks}


def test_same_code_on_the_same_machine_reproduces(records: list[Record], again: Callable[..., Verification]) -> None:
    done = again(records[0])
    assert done.outcome == "reproduced"
    assert set(outcomes(done)) == {"stored_bytes", "error", "sum.sum.ratio"}


def test_slower_time_is_not_reproduced_and_a_busy_machine_proves_nothing(
    bench: Bench, records: list[Record], again: Callable[..., Verification]
) -> None:
    bench.slow = lambda job: 1.1
    large = next(record for record in records if record.method == "toy-large")
    assert outcomes(again(large)) == {
        "stored_bytes": "reproduced", "error": "reproduced", "sum.sum.ratio": "not reproduced",
    }  # fmt: skip
    bench.noise = 0.5
    assert outcomes(again(large))["sum.sum.ratio"] == "reproduced"


def test_other_score_or_other_bytes_are_not_reproduced(
    bench: Bench, records: list[Record], again: Callable[..., Verification]
) -> None:
    bench.error = lambda job: 101.0
    assert outcomes(again(records[0]))["error"] == "not reproduced"
    bench.error = lambda job: 100.1  # another rounding
    assert outcomes(again(records[0]))["error"] == "reproduced"
    changed = records[0].model_copy(update={"figures": {"stored_bytes": 1001.0}})
    assert outcomes(again(changed))["stored_bytes"] == "not reproduced"


def test_on_other_hardware_only_what_does_not_depend_on_it_is_compared(
    bench: Bench, records: list[Record], again: Callable[..., Verification]
) -> None:
    bench.slow = lambda job: 2.0
    done = again(records[0].model_copy(update={"hardware": "cpu-of-somebody-1t"}))
    assert outcomes(done) == {"stored_bytes": "reproduced", "error": "reproduced", "sum.sum.ratio": "not comparable"}
    assert done.outcome == "reproduced"


def test_failure_is_a_result_that_can_be_reproduced(
    bench: Bench, records: list[Record], again: Callable[..., Verification]
) -> None:
    failed = records[0].model_copy(update={"status": "timeout"})
    assert again(failed).outcome == "not reproduced"
    assert again(failed.model_copy(update={"hardware": "other"})).outcome == "not comparable"
    bench.status = lambda job: "failed"
    assert again(records[0].model_copy(update={"status": "failed"})).outcome == "reproduced"


def test_record_of_other_code_is_refused_with_the_commit_to_use(
    records: list[Record], again: Callable[..., Verification]
) -> None:
    with pytest.raises(NotVerifiable, match="check out commit abc"):
        again(records[0].model_copy(update={"suite_version": "0"}))
    half = next(record for record in records if record.variant == "third")
    with pytest.raises(NotVerifiable, match="hyper-parameters"):
        again(half.model_copy(update={"hyperparameters": {"share": 0.4}}))


def test_record_is_found_by_the_beginning_of_its_id(records: list[Record]) -> None:
    assert find_record(records, records[0].id) is records[0]
    with pytest.raises(UnknownName, match="unknown record 'nothing'"):
        find_record(records, "nothing")
    with pytest.raises(UnknownName):
        find_record(records, "toy-")  # several begin so


def test_records_that_differ_by_chance_alone_are_seldom_called_not_reproduced(
    toy_registry: Registry, bench: Bench, records: list[Record]
) -> None:
    runs = [record for record in records if record.method == "toy-large"]
    found = [compare(toy_registry, a, b, records) for a in runs for b in runs if a is not b]
    failed = sum(check.outcome == "not reproduced" for checks in found for check in checks)
    assert failed <= 0.1 * len(found)
    shifted = [record.model_copy(update={"timings": _slower(record, 1.012)}) for record in runs]
    found = [compare(toy_registry, a, b, records) for a in runs for b in shifted]
    assert all(check.outcome == "reproduced" for checks in found for check in checks)  # runs may differ by so much


def test_draw_depends_on_the_seed_alone_and_takes_each_configuration_once(records: list[Record]) -> None:
    drawn = draw(records, 3, seed=1)
    assert drawn == draw(list(reversed(records)), 3, seed=1)
    assert len({(record.method, record.variant) for record in drawn}) == 3
    assert {tuple(r.id for r in draw(records, 3, seed=seed)) for seed in range(20)} != {tuple(r.id for r in drawn)}
    assert len(draw(records, 99, seed=1)) == 5
    assert draw(records, 99, seed=1, hardware="none") == []
    old = [record.model_copy(update={"suite_version": "0", "method": "gone"}) for record in records[:1]]
    assert "gone" not in {record.method for record in draw([*old, *records], 99, seed=1)}


def test_audit_publishes_the_spread_and_fails_for_what_chance_does_not_explain(
    toy_registry: Registry, bench: Bench, tmp_path: Path, records: list[Record]
) -> None:
    done, refused = audit(toy_registry, records, tmp_path, count=5, seed=0, executor=bench)
    assert passes(done)
    assert refused == []
    found = as_json(done, refused, 0)
    assert {row["kind"]: row["compared"] for row in found["spread"]} == {"exact": 5, "quality": 5, "speed": 5}
    assert "passed" in as_markdown(done, refused, 0).splitlines()[0]
    changed = [record.model_copy(update={"figures": {"stored_bytes": 999.0}}) for record in records[:6]]
    done, _ = audit(toy_registry, [*changed, *records[6:]], tmp_path, count=5, seed=0, executor=bench)
    assert not passes(done)  # one record in five could be chance for a time, never for bytes
    bench.slow = lambda job: 1.2
    done, refused = audit(toy_registry, records, tmp_path, count=5, seed=0, executor=bench)
    assert not passes(done)
    assert "FAILED" in as_markdown(done, refused, 0).splitlines()[0]


def test_commands_say_it_and_exit_so(
    toy_registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.run.runner import run_plan

    jobs = make_plan(toy_registry, Selection("toy", ["toy-large@unlimited"], scale="tiny", threads=1))
    (record,) = run_plan(toy_registry, jobs, tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["verify", record.id, "--results", str(tmp_path)])
    assert stopped.value.code in (0, 1)  # as the time decides
    assert "counted or weighed figures are equal" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        cli.main(["audit", "--count", "1", "--json", "--results", str(tmp_path)])
    assert '"kind": "exact"' in capsys.readouterr().out
    assert len(store.read_all(tmp_path)[0]) == 1  # neither adds a record


def _slower(record: Record, factor: float) -> dict[str, dict[str, Timing]]:
    timing = record.timings["sum"]["sum"]
    return {"sum": {"sum": timing.model_copy(update={"candidate": [factor * x for x in timing.candidate]})}}
