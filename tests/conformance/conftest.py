"""What all methods of a session share."""

import pytest

from tests.conformance.one_process import Kept


@pytest.fixture(scope="session")
def kept() -> Kept:
    return Kept()
