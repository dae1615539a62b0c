"""DoRA: directions and lengths."""

import torch

from methods.lm_finetuning.adaptation.dora import DoRA
from suites._language.adapters import decoder_linears
from tests.methods.lm_finetuning.finetuning_toys import make, toy_task


def test_each_row_of_the_merged_weight_is_as_long_as_its_shipped_length() -> None:
    task = toy_task(tokens=300)
    tuned = make(DoRA(rank=4, rate=3e-3), task)
    for name in decoder_linears(task.model):
        length = tuned.shipped[f"base_model.model.{name}.lora_magnitude_vector.default.weight"]
        assert torch.allclose(torch.linalg.norm(tuned.model.get_submodule(name).weight, dim=1), length, rtol=1e-4)
        assert not torch.allclose(torch.linalg.norm(task.model.get_submodule(name).weight, dim=1), length, rtol=1e-4)


def test_where_even_one_rank_takes_too_much_memory_that_is_said() -> None:
    task = toy_task(result={"training_memory_ratio": 0.2})
    assert "lowest rank" in str(DoRA().supports(task))
