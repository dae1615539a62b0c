"""PiSSA: the factors start as the principal components, the frozen part as the rest."""

import torch

from methods.lm_finetuning.adaptation.pissa import PiSSA
from suites._language.adapters import decoder_linears
from tests.methods.lm_finetuning.finetuning_toys import make, toy_task


def test_the_frozen_rest_and_what_the_trained_factors_add_tell_the_merged_weight() -> None:
    """Who has the base, and the shipped factors, can find the model."""
    task = toy_task(tokens=300)
    tuned = make(PiSSA(rank=4), task)
    name = decoder_linears(task.model)[0]
    weight = task.model.get_submodule(name).weight.detach()
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    rest = (left[:, 4:] * values[4:]) @ right[4:]
    a, b = (tuned.shipped[f"base_model.model.{name}.lora_{part}.default.weight"] for part in "AB")
    assert torch.allclose(tuned.model.get_submodule(name).weight, rest + b @ a, atol=1e-4)
    assert not torch.allclose(weight, rest + b @ a, atol=1e-4)
