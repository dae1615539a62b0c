"""The rank that the limits leave."""

from typing import Any

import pytest

from methods.lm_finetuning.adaptation._rank import fitting, shipped_parameters, two_factors, unmet, within_memory
from suites._language.adapters import decoder_linears, with_lora
from suites._training.trainer import Trainer
from suites.lm_finetuning.learning import AnswerLearner
from tests.methods.lm_finetuning.finetuning_toys import toy_task


def shipping(share: float) -> Any:
    return toy_task(result={"shipped_ratio": share})


@pytest.mark.parametrize("share", [0.2, 0.1, 0.05])
def test_it_is_the_largest_that_fits(share: float) -> None:
    task = shipping(share)
    allowed = share * sum(p.numel() for p in task.model.parameters())
    found = fitting(task, 64)
    assert found is not None
    rank, targets = found
    assert targets == decoder_linears(task.model)
    assert shipped_parameters(task, targets, rank) <= allowed < shipped_parameters(task, targets, rank + 1)


def test_what_is_shipped_besides_counts() -> None:
    task = shipping(0.1)
    plain = fitting(task, 64)
    more = fitting(task, 64, lambda rank, outputs, inputs: two_factors(rank, outputs, inputs) + outputs)
    assert plain is not None
    assert more is not None
    assert more[0] < plain[0]


def test_fewer_layers_come_before_none() -> None:
    found = fitting(shipping(0.01), 64)
    assert found is not None
    assert {name.rsplit(".", 1)[1] for name in found[1]} == {"q_proj", "v_proj"}
    task = shipping(0.0001)
    assert fitting(task, 64) is None
    assert "rank 1" in str(unmet(task, 64))
    assert "rank 2" in str(unmet(task, 64, least=2))


def test_memory_halves_the_rank_until_one_example_at_a_time_fits() -> None:
    task = toy_task(result={"training_memory_ratio": 0.25})

    def start(rank: int) -> AnswerLearner:
        return AnswerLearner(with_lora(task.copied(), rank=rank, alpha=2.0 * rank, seed=0))

    rank = within_memory(task, 16, start)
    assert task.memory_ratio(Trainer(start(rank), 1)) <= 0.25 < task.memory_ratio(Trainer(start(2 * rank), 1))
    assert within_memory(toy_task(), 16, start) == 16
    assert within_memory(task, 16, start, least=16) == 16
