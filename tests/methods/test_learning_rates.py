"""Every method's learning rate is the best of those that were tried with whole trainings."""

from typing import Any

import pytest

from bench.contract.registry import configured, load
from methods import learning_rates
from methods.learning_rates import best, known, try_all


@pytest.mark.parametrize("what", known())
def test_the_rate_is_the_best_that_was_tried_and_none_beyond_it_is_left(what: str) -> None:
    slug, _, variant = what.partition("@")[0].partition(":")
    method = configured(load().method(slug), variant or "default")
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
