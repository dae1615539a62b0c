"""Records on disk: append-only, and one broken line never hides another."""

import resource
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.record import store
from bench.record.environment import collect, hardware_class
from bench.record.schema import Outcome, Record, Samples


@pytest.fixture
def record() -> Record:
    return Record(
        id="a", key="k", suite="s", suite_version="1", method="m", variant="default", point="p", scale="tiny", base="b",
        seed=0, hardware=hardware_class("cpu", 1), status="ok", environment=collect("cpu", Path.cwd(), 1),
        quality={"score": Samples(samples=[0.1, float("inf"), 1e-300])},
        started=datetime.now(UTC), seconds=1.0, command="effbench run",
    )  # fmt: skip


def test_round_trip_is_exact(record: Record, tmp_path: Path) -> None:
    path = store.append(tmp_path, record)
    assert path == tmp_path / record.hardware / "s" / "m.jsonl"
    assert store.read_all(tmp_path) == ([record], [])


def test_append_leaves_what_is_there(record: Record, tmp_path: Path) -> None:
    path = store.append(tmp_path, record)
    before = path.read_bytes()
    store.append(tmp_path, record.model_copy(update={"id": "b"}))
    assert path.read_bytes().startswith(before)
    assert [each.id for each in store.read_all(tmp_path)[0]] == ["a", "b"]


def test_line_cut_short_by_a_crash_costs_only_itself(record: Record, tmp_path: Path) -> None:
    path = store.append(tmp_path, record)
    with path.open("ab") as file:
        file.write(record.model_dump_json().encode()[:40])
    store.append(tmp_path, record.model_copy(update={"id": "after"}))
    records, broken = store.read_all(tmp_path)
    assert [each.id for each in records] == ["a", "after"]
    assert [(each.path, each.line) for each in broken] == [(path, 2)]
    assert "cut short" in broken[0].reason


def test_older_version_and_foreign_fields_are_named(record: Record, tmp_path: Path) -> None:
    path = store.append(tmp_path, record)
    line = record.model_dump_json()
    with path.open("a") as file:
        file.write(line.replace('"schema_version":1', '"schema_version":0') + "\n")
        file.write(line.replace('"seed":0', '"seed":"many"') + "\n")
        file.write(line.replace('"seed":0', '"seed":0,"luck":1') + "\n")
    records, broken = store.read_all(tmp_path)
    assert len(records) == 1
    assert "another schema version than 1: 0" in broken[0].reason
    assert "seed" in broken[1].reason
    assert "luck" in broken[2].reason


def test_missing_folder_is_empty(tmp_path: Path) -> None:
    assert store.read_all(tmp_path / "nothing") == ([], [])


def test_outcome_keeps_infinity_on_its_way_from_the_worker() -> None:
    outcome = Outcome(status="ok", quality={"s": Samples(samples=[float("inf")])}, figures={"f": float("nan")})
    back = Outcome.model_validate_json(outcome.model_dump_json())
    assert back.quality["s"].samples == [float("inf")]
    assert back.figures["f"] != back.figures["f"]


def test_reading_goes_on_where_it_ended(record: Record, tmp_path: Path) -> None:
    path = store.append(tmp_path, record)
    ((place, first),) = store.read_lines(path)
    assert (place.number, place.offset, place.end, place.whole) == (1, 0, path.stat().st_size, True)
    store.append(tmp_path, record.model_copy(update={"id": "b"}))
    ((second, after),) = store.read_lines(path, place.end, place.number + 1)
    assert (first, after) == (record, record.model_copy(update={"id": "b"}))
    assert second.number == 2
    assert store.read_at(path, second.offset, second.length) == after
    with path.open("ab") as file:
        file.write(b'{"id"')
    *_, (last, broken) = store.read_lines(path)
    assert isinstance(broken, store.BrokenRecord)
    assert (last.number, last.whole) == (3, False)


def test_what_contradicts_itself_is_broken(record: Record, tmp_path: Path) -> None:
    path = store.append(tmp_path, record)
    naive = record.model_copy(update={"started": record.started.replace(tzinfo=None)})
    uneven = record.model_copy(update={"quality": {"score": Samples(samples=[1.0, 2.0], weights=[1.0])}})
    for each in (naive, uneven):
        store.append(tmp_path, each)
    records, broken = store.read_all(tmp_path)
    assert [each.id for each in records] == ["a"]
    assert [(each.path, each.line) for each in broken] == [(path, 2), (path, 3)]
    assert "time zone" in broken[0].reason
    assert "1 weights for 2 samples" in broken[1].reason


def test_a_disk_that_is_full_tears_no_line_and_costs_no_record(record: Record, tmp_path: Path) -> None:
    path = store.append(tmp_path, record)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) * 3 // 2, limits[1]))  # the second line fits in part
    try:
        with pytest.raises(store.ResultsNotWritable, match="make room, and the same command runs what is missing"):
            store.append(tmp_path, record)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    store.append(tmp_path, record)
    assert path.read_bytes() == before * 2
