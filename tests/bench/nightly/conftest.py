"""Fixtures of the tests of nights: made-up runs in place of real ones."""

from functools import cache

import pytest

from bench.record.environment import collect
from tests.bench.nightly.night_bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up times are below what this machine can do; its facts are asked once."""
    monkeypatch.setattr("bench.run.runner.implausible_time", lambda *arguments: None)
    monkeypatch.setattr("bench.run.runner.collect", cache(collect))
    monkeypatch.setattr("bench.run.runner.device_facts", lambda device: {})
