"""The search for a learning rate, with losses that are known."""

import math

import pytest

from suites._training.rates import BEYOND, best_rate, loss_after
from tests.suites._training.toys import Lines, batches


def search(rates: list[float], best: float, tried: list[float], diverges: float = math.inf) -> float:
    """best_rate where the loss is least after a training at the rate `best`, and infinite above `diverges`."""

    def loss(rate: float) -> float:
        tried.append(rate)
        return math.inf if rate > diverges else abs(math.log(rate / best))

    return best_rate(rates, loss)


def test_a_best_rate_within_the_list_ends_the_search() -> None:
    tried: list[float] = []
    assert search([1e-3, 3e-3, 1e-2], 4e-3, tried) == 3e-3
    assert tried == [1e-3, 3e-3, 1e-2]


def test_a_best_rate_at_an_end_is_followed_beyond_it() -> None:
    tried: list[float] = []
    assert search([1e-3, 1e-2], 0.1, tried) == 0.1
    assert tried == [1e-3, 1e-2, 0.1, 1.0]
    tried.clear()
    assert search([1e-3, 1e-2], 1e-4, tried) == 1e-4
    assert tried == [1e-3, 1e-2, 1e-4, 1e-5]


def test_nobody_is_followed_for_ever() -> None:
    tried: list[float] = []
    assert search([1e-3, 1e-2], 1e9, tried) == pytest.approx(10.0 ** (BEYOND - 2))
    assert len(tried) == 2 + BEYOND


def test_rates_that_diverge_are_out() -> None:
    tried: list[float] = []
    assert search([1e-3, 1e-2, 0.1], 1e-2, tried, diverges=5e-3) == 1e-3
    tried.clear()
    assert search([1.0, 10.0], 1.0, tried, diverges=0.05) == 1e-2  # lower ones are tried before it gives up
    with pytest.raises(ValueError, match=r"diverges at every learning rate of 1\.0, 10\.0, 0\.1, 0\.01"):
        search([1.0, 10.0], 1.0, [], diverges=1e-9)


def test_a_single_rate_is_taken_as_it_is() -> None:
    tried: list[float] = []
    assert search([5e-4], 1.0, tried) == 5e-4
    assert not tried


def test_a_short_training_is_judged_by_what_it_was_not_trained_on() -> None:
    held = batches(2, seed=9)
    few, many = (loss_after(Lines(), batches(count), 0.05, held) for count in (1, 30))
    assert many < few
    assert loss_after(Lines(), batches(30), 1e30, held) == math.inf
