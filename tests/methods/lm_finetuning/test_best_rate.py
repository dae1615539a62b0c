"""The search for a learning rate, with losses that are known."""

import math
from collections.abc import Callable

import pytest

from methods.lm_finetuning import _finetuning
from methods.lm_finetuning._finetuning import BEYOND, best_rate
from suites._training.training import Learner
from tests.methods.lm_finetuning.finetuning_toys import toy_task

Search = Callable[..., float]


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    """best_rate where the loss is least after a training at the rate `best`, and infinite above `diverges`."""

    def run(rates: list[float], best: float, tried: list[float], diverges: float = math.inf) -> float:
        def train(trainer: object, batches: object, rate: float) -> None:
            tried.append(rate)
            if rate > diverges:
                raise FloatingPointError

        monkeypatch.setattr(_finetuning, "train", train)
        monkeypatch.setattr(_finetuning, "validation_loss", lambda *_: abs(math.log(tried[-1] / best)))
        task = toy_task()
        return best_rate(task, lambda: Learner(task.model), rates)

    return run


def test_a_best_rate_within_the_list_ends_the_search(search: Search) -> None:
    tried: list[float] = []
    assert search([1e-3, 3e-3, 1e-2], 4e-3, tried) == 3e-3
    assert tried == [1e-3, 3e-3, 1e-2]


def test_a_best_rate_at_an_end_is_followed_beyond_it(search: Search) -> None:
    tried: list[float] = []
    assert search([1e-3, 1e-2], 0.1, tried) == 0.1
    assert tried == [1e-3, 1e-2, 0.1, 1.0]
    tried.clear()
    assert search([1e-3, 1e-2], 1e-4, tried) == 1e-4
    assert tried == [1e-3, 1e-2, 1e-4, 1e-5]


def test_nobody_is_followed_for_ever(search: Search) -> None:
    tried: list[float] = []
    assert search([1e-3, 1e-2], 1e9, tried) == pytest.approx(10.0 ** (BEYOND - 2))
    assert len(tried) == 2 + BEYOND


def test_rates_that_diverge_are_out(search: Search) -> None:
    tried: list[float] = []
    assert search([1e-3, 1e-2, 0.1], 1e-2, tried, diverges=5e-3) == 1e-3
    tried.clear()
    assert search([1.0, 10.0], 1.0, tried, diverges=0.05) == 1e-2  # lower ones are tried before it gives up
    with pytest.raises(ValueError, match=r"diverges at every learning rate of 1\.0, 10\.0, 0\.1, 0\.01"):
        search([1.0, 10.0], 1.0, [], diverges=1e-9)


def test_a_single_rate_is_taken_as_it_is(search: Search) -> None:
    tried: list[float] = []
    assert search([5e-4], 1.0, tried) == 5e-4
    assert not tried
