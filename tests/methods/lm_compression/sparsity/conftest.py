"""Tasks around the toy model, weighed by their serialised bytes."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from bench.contract import Limits
from bench.measure.size import serialised
from suites._language.tokens import token_ids
from suites._language.toy import toy_model, toy_tokenizer
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import task_around


def weigher(dense: nn.Module) -> Callable[[Any], Mapping[str, float]]:
    reference = serialised(dense.state_dict())[0]
    return lambda candidate: {"stored_ratio": serialised(candidate.state_dict())[0] / reference, "flops_ratio": 1.0}


@pytest.fixture(scope="session")
def texts() -> dict[str, list[int]]:
    tokenizer = toy_tokenizer()
    return {split: list(token_ids("tiny", split, tokenizer))[:4096] for split in ("calibration", "training")}


@pytest.fixture
def make_task(texts: dict[str, list[int]]) -> Callable[..., CausalLMTask]:
    def make(seed: int = 0, dtype: torch.dtype = torch.float32, tied: bool = True, **limits: float) -> CausalLMTask:
        model = toy_model().to(dtype)
        if not tied:
            model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
        return task_around(model, weigher(model), Limits(result=limits), seed=seed, **texts)

    return make
