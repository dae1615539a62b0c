"""Every method's learning rate is the best of those that were tried with whole trainings."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contract import Limits
from methods import learning_rates
from methods.learning_rates import SEED, best, configured_as, known, rate_of, try_all
from methods.lm_compression.low_rank.welore import WeLore
from suites.lm_compression.task import CausalLMTask
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.faults import FAULTY_CITIES
from tests.methods.lm_finetuning.finetuning_toys import toy_task as fine_tuning_task


@pytest.mark.parametrize("what", known())
def test_the_rate_is_the_best_that_was_tried_and_none_beyond_it_is_left(what: str) -> None:
    rate = rate_of(configured_as(what))
    rates = sorted(map(float, known()[what]))
    assert rate == best(known()[what])
    assert rates[0] < rate < rates[-1]


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


def test_a_compressed_model_is_judged_by_text_that_its_recovery_cannot_see(
    toy_task: Callable[..., CausalLMTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_rates, "SCALE", "tiny")
    seen: list[CausalLMTask] = []
    build = WeLore.build

    def watched(method: WeLore, task: CausalLMTask, limits: Limits) -> Any:
        seen.append(task)
        return build(method, task, limits)

    monkeypatch.setattr(WeLore, "build", watched)
    losses: learning_rates.Losses = {}
    for rate in (1e-3, 1e3):
        learning_rates.try_one("welore@size-75", rate, SEED, losses)
    assert losses["0.001"] < losses["1000"]
    whole = toy_task(seed=SEED).training_ids
    assert all(list(task.training_ids) == list(whole[: -learning_rates.UNSEEN]) for task in seen)


def test_a_repair_is_judged_by_faults_and_the_rest_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    task = fine_tuning_task(900, track="repair")
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
