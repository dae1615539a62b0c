"""The dense control."""

import torch
from torch import nn

from bench.contract import Limits
from methods.lm_compression.baseline.dense import Dense
from suites.lm_compression.task import CausalLMTask


def task() -> CausalLMTask:
    return CausalLMTask(
        scale="tiny", seed=0, model=nn.Linear(2, 2), tokenizer=None, calibration_ids=[], training_ids=[]
    )


def test_it_is_the_base_model_itself() -> None:
    given = task()
    before = given.model.weight.clone()
    assert Dense().build(given, Limits()) is given.model
    assert torch.equal(given.model.weight, before)


def test_it_is_run_only_where_nothing_limits_the_result() -> None:
    assert Dense().supports(task(), Limits(build_seconds=1, supplies={"calibration_tokens": 0})) is None
    assert "over every limit" in str(Dense().supports(task(), Limits(result={"stored_ratio": 0.75})))
