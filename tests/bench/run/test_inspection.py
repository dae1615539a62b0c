"""Whether stamps are believed: by what messages take on this machine at this time."""

import pytest

from bench.run.inspection import Seen, check_stamps, message_seconds
from bench.run.rules import RuleBroken


def calls(outside: float, inside: float, waited: float = 0.0) -> Seen:
    return [(outside, inside, waited)] * 7


QUIET = calls(2.3e-3, 2e-3)
BUSY = calls(7e-3, 2e-3)
"""Of the baseline's server."""


def test_messages_are_as_slow_as_the_baselines_tell() -> None:
    assert message_seconds(QUIET) == message_seconds([]) == 2e-3
    assert message_seconds(BUSY) == pytest.approx(10e-3)


def test_a_short_call_is_honest_on_a_busy_machine() -> None:
    honest = calls(5.4e-3, 0.95e-3)
    check_stamps(honest, BUSY)
    with pytest.raises(RuleBroken, match="stamps"):
        check_stamps(honest, QUIET)


def test_what_is_hidden_beyond_the_messages_is_seen_on_any_machine() -> None:
    for plain in (QUIET, BUSY):
        with pytest.raises(RuleBroken, match="stamps"):
            check_stamps(calls(40e-3, 10e-3), plain)


def test_waiting_for_a_processor_hides_nothing_and_excuses_what_it_is() -> None:
    check_stamps(calls(40e-3, 10e-3, waited=29e-3), QUIET)
    with pytest.raises(RuleBroken, match="stamps"):
        check_stamps(calls(40e-3, 10e-3, waited=5e-3), QUIET)


def test_no_server_takes_longer_than_its_call() -> None:
    with pytest.raises(RuleBroken, match="stamps"):
        check_stamps(calls(1e-3, 2e-3), BUSY)
