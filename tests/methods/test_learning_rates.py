"""Every method's learning rate is the best of those that were tried with whole trainings."""

from pathlib import Path

import pytest

from bench.registry import open_registry
from bench.run.tune import Losses, Search, best, read_rates

ROOT = Path(__file__).resolve().parents[2]
KNOWN = [
    (path.parent.name.replace("_", "-"), what, losses)
    for path in sorted((ROOT / "methods").glob("*/rates.json"))
    for what, losses in read_rates(path).items()
]


@pytest.mark.parametrize(("suite", "what", "losses"), KNOWN, ids=[f"{suite}/{what}" for suite, what, _ in KNOWN])
def test_the_rate_is_the_best_that_was_tried_and_none_beyond_it_is_left(suite: str, what: str, losses: Losses) -> None:
    rate = Search(open_registry(plugins=False), suite, what, "embedded", "cpu", losses).rate
    rates = sorted(map(float, losses))
    assert rate == best(losses)
    assert rates[0] < rate < rates[-1]
