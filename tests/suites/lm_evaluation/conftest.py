"""The small random Llama and its tokenizer, shared by the tests of the evaluation."""

import logging
from typing import Any

import pytest
import torch

from suites.lm_compression.base import load_base


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy() -> tuple[Any, Any]:
    return load_base("tiny", "random-llama", "cpu")
