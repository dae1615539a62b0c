"""The dense control."""

import torch
from torch import nn

from bench.contract import Limits
from methods.lm_compression.baseline.dense import Dense
from tests.methods.lm_compression.compression_toys import task_around


def test_it_is_the_base_model_itself() -> None:
    given = task_around(nn.Linear(2, 2))
    before = given.model.weight.clone()
    assert Dense().build(given) is given.model
    assert torch.equal(given.model.weight, before)


def test_it_is_run_only_where_nothing_limits_the_result() -> None:
    of_the_build = Limits(build_seconds=1, supplies={"calibration_tokens": 0})
    assert Dense().supports(task_around(None, limits=of_the_build)) is None
    assert "over every limit" in str(Dense().supports(task_around(None, limits=Limits(result={"stored_ratio": 0.75}))))
