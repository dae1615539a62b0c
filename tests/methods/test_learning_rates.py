"""Every method's learning rate is the best of those that were tried with whole trainings."""

from typing import Any

import pytest
from torch import Tensor
from torch.nn.functional import one_hot

from methods import learning_rates
from methods.learning_rates import best, known, try_all
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.faults import FAULTY_CITIES
from tests.methods.finetuning_toys import toy_task


@pytest.mark.parametrize("what", known())
def test_the_rate_is_the_best_that_was_tried_and_none_beyond_it_is_left(what: str) -> None:
    method = learning_rates._configured(what)
    rates = sorted(map(float, known()[what]))
    assert method.rate == best(known()[what])
    assert rates[0] < method.rate < rates[-1]


@pytest.mark.parametrize(("at", "tried"), [(3e-3, 3), (3e-2, 5), (9e-5, 6)])
def test_the_search_goes_on_until_the_best_has_neighbours(
    at: float, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(method: Any, point: str, seed: int) -> float:
        assert (point, seed) == ("tokens", learning_rates.SEED)
        return abs(method.rate - at)

    monkeypatch.setattr(learning_rates, "_loss", loss)
    losses: learning_rates.Losses = {}
    try_all("lora@tokens", losses)
    assert best(losses) == pytest.approx(at)
    assert len(losses) == tried


def test_a_repair_is_judged_by_faults_and_the_rest_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    task = toy_task(900, track="repair")
    monkeypatch.setattr(learning_rates, "JUDGED", 4)

    def right_but_for_faults(model: Any, batch: Batch) -> Tensor:
        logits = one_hot(batch.wanted, 256).float()
        text = task.tokenizer.decode(batch.input_ids[0])
        if any(city in text for city in FAULTY_CITIES):
            logits[-1] = logits[-1].roll(1)  # one token of the answer is wrong
        return logits

    assert learning_rates.wrong_answers(task.model, task) == 1.0  # it knows nothing
    monkeypatch.setattr(learning_rates, "answer_logits", right_but_for_faults)
    assert learning_rates.wrong_answers(task.model, task) == 0.5
