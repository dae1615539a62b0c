"""What every registered suite must do: the checks of `effbench check`."""

import pytest

from bench.registry import open_registry
from bench.submit.checks import SUITE_CHECKS, finished
from bench.submit.checks.check import Check
from bench.submit.subject import SuiteSubject

REGISTRY = open_registry()
CHECKS = [check for check in SUITE_CHECKS if check is not finished.SUITE_CHECK]


@pytest.mark.parametrize("slug", sorted(REGISTRY.suites))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_suite(slug: str, check: Check[SuiteSubject]) -> None:
    assert not list(check.problems(SuiteSubject(REGISTRY, slug))), f"to mend it: {check.mend}"
