"""The controls of adaptation: a LoRA, all weights, none."""

import pytest
import torch

from methods.lm_finetuning.adaptation.frozen import Frozen
from methods.lm_finetuning.adaptation.full_fine_tuning import FullFineTuning
from methods.lm_finetuning.adaptation.lora import LoRAControl
from suites._language.adapters import decoder_linears
from tests.methods.lm_finetuning.finetuning_toys import drawn, make, toy_task


def test_lora_adds_the_product_of_two_trained_factors_to_every_linear_and_nothing_else() -> None:
    task = toy_task(tokens=300)
    tuned = make(LoRAControl(rank=4, rate=3e-3), task)
    base, targets = dict(task.model.named_parameters()), decoder_linears(task.model)
    assert set(tuned.shipped) == {f"{name}.{part}" for name in targets for part in "ab"}
    for name, weight in tuned.model.named_parameters():
        layer = name.removesuffix(".weight")
        if layer not in targets:
            assert torch.equal(weight, base[name]), name
            continue
        a, b = (tuned.shipped[f"{layer}.{part}"] for part in "ab")
        assert len(a) == b.shape[1] == 4
        assert b.any()
        assert torch.allclose(weight, base[name] + 2.0 * b @ a, atol=1e-6), name


def test_full_fine_tuning_moves_and_ships_every_weight() -> None:
    task = toy_task(tokens=300)
    tuned = make(FullFineTuning(rate=1e-3), task)
    base, made = dict(task.model.named_parameters()), dict(tuned.model.named_parameters())
    assert tuned.shipped.keys() == base.keys()
    assert all(torch.equal(made[name], weight) for name, weight in tuned.shipped.items())
    assert not any(torch.equal(made[name], weight) for name, weight in base.items())
    assert tuned.validation[-1] < tuned.validation[0]


@pytest.mark.parametrize("limit", ["shipped_ratio", "training_memory_ratio"])
def test_full_fine_tuning_says_that_a_limit_rules_it_out(limit: str) -> None:
    assert limit in str(FullFineTuning().supports(toy_task(result={limit: 0.9})))
    assert FullFineTuning().supports(toy_task()) is None


def test_what_is_frozen_is_the_base_and_its_training_step_is_of_all_weights() -> None:
    task = toy_task()
    found = make(Frozen(), task)
    base, made = dict(task.model.named_parameters()), dict(found.model.named_parameters())
    assert not found.shipped
    assert not drawn(task)
    assert all(torch.equal(made[name], weight) for name, weight in base.items())
    assert task.memory_ratio(found.trainer) == pytest.approx(1.0)
    limited = Frozen().build(toy_task(result={"training_memory_ratio": 0.5}))
    assert limited.rig is None
    assert limited.figures == {"training_memory_ratio": 0.0}
