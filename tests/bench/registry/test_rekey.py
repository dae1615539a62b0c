"""New keys for old records: those that were fresh stay so, and nothing else is touched."""

import json
from pathlib import Path

import pytest

from bench import measure
from bench.record.schema import Record
from bench.record.store import files
from bench.registry import Registry, open_registry
from bench.registry.key import key_of, run_of
from bench.registry.rekey import rekeyed

RESULTS = Path(__file__).resolve().parents[3] / "results"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return open_registry(plugins=False)


@pytest.fixture(scope="module")
def line() -> bytes:
    return next(each for path in files(RESULTS) for each in path.read_bytes().splitlines(keepends=True))


def test_a_fresh_record_gets_todays_key_and_nothing_else_is_touched(registry: Registry, line: bytes) -> None:
    before = json.loads(line)
    after = json.loads(rekeyed(line.replace(before["key"].encode(), b"of another day"), {before["id"]}, registry))
    record = Record.model_validate_json(line)
    assert after.pop("key") == key_of(registry, run_of(record), measure.VERSION)
    before.pop("key")
    assert after == before


def test_a_stale_record_stays_as_it_is(registry: Registry, line: bytes) -> None:
    assert rekeyed(line, {"another"}, registry) == line


def test_a_line_keeps_its_bytes_beside_the_key(registry: Registry, line: bytes) -> None:
    record = Record.model_validate_json(line)
    new = rekeyed(line, {record.id}, registry)
    assert len(new) == len(line)
    place = line.index(record.key.encode())
    assert (new[:place], new[place + 32 :]) == (line[:place], line[place + 32 :])


def test_a_line_that_is_written_otherwise_is_refused(registry: Registry, line: bytes) -> None:
    record = Record.model_validate_json(line)
    with pytest.raises(ValueError, match="not written as expected"):
        rekeyed(line.replace(b'"key":', b'"key" :'), {record.id}, registry)
