"""What the tests of the evaluation share."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def requests() -> Callable[[str, list[tuple[Any, ...]]], list[Instance]]:
    """Instances of a request type from their arguments."""

    def make(kind: str, arguments: list[tuple[Any, ...]]) -> list[Instance]:
        return [Instance(kind, {}, args, index) for index, args in enumerate(arguments)]

    return make
