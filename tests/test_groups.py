"""The test line spreads the tests over processes; what shares expensive runs must stay together."""

import os

import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="all tests are in one process")
def test_the_tests_of_a_group_stay_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist hands the group on in the name of the test; where pytest keeps that name, it hands on nothing."""
    assert request.node.nodeid.endswith("@together")
