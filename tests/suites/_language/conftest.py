"""The small random Llama and its tokenizer."""

from typing import Any

import pytest

from suites._language.base import load_base


@pytest.fixture(scope="session")
def toy() -> tuple[Any, Any]:
    return load_base("tiny", "random-llama", "cpu")
