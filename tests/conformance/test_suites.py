"""What every registered suite must do: the checks of `effbench check`."""

from collections.abc import Iterator

import pytest

from bench.registry import open_registry
from bench.submit.checks import SUITE_CHECKS, finished
from bench.submit.checks.check import Check
from bench.submit.subject import SuiteSubject
from bench.submit.trials import Trials

REGISTRY = open_registry()
CHECKS = [check for check in SUITE_CHECKS if check is not finished.SUITE_CHECK]


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials(REGISTRY) as trials:
        yield trials


@pytest.mark.parametrize("slug", sorted(REGISTRY.suites))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_suite(slug: str, check: Check[SuiteSubject], trials: Trials) -> None:
    assert not list(check.problems(SuiteSubject(REGISTRY, slug, trials))), f"to mend it: {check.mend}"
