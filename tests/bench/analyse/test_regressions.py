"""Following a figure: what is told, what is not, and what has to be seen again first."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from bench.analyse.regressions import (
    CONFIRMING,
    LARGEST,
    NIGHT_GAP,
    SENSITIVITY,
    Noise,
    Run,
    State,
    between_runs,
    follow,
    step,
    timed,
    untimed,
)
from bench.measure.statistics import ratio_interval

DAY = 86_400.0
NOISE = Noise("speed", 0.005, watched=200)


def nights(values: Sequence[float], error: float = 0.005, start: int = 0) -> list[Run]:
    return [Run((start + i) * DAY, value, error) for i, value in enumerate(values)]


def again(run: Run, times: int) -> list[Run]:
    """The same measurement repeated in the night."""
    return [Run(run.when + 600 * (i + 1), run.value, run.error) for i in range(times)]


def verdicts(runs: Sequence[Run], noise: Noise = NOISE) -> list[str]:
    state, found = State(), []
    for run in runs:
        state = step(state, run, noise)
        found.append(state.verdict)
    return found


STEADY = nights([0.0] * 20)


def test_change_of_ten_percent_is_suspected_at_once_and_told_once_when_seen_again() -> None:
    slow = Run(20 * DAY, math.log(1.1), 0.005)
    told = verdicts([*STEADY, slow, *again(slow, CONFIRMING)])
    assert told[-CONFIRMING - 1 :] == ["suspected"] * CONFIRMING + ["worse"]
    later = nights([math.log(1.1)] * 30, start=21)
    assert set(verdicts([*STEADY, slow, *again(slow, CONFIRMING), *later])[24:]) == {"steady"}


def test_confirmed_change_has_its_size_and_interval() -> None:
    slow = Run(20 * DAY, math.log(1.1), 0.005)
    state = follow([*STEADY, slow, *again(slow, CONFIRMING)], NOISE)
    assert state.change is not None
    assert state.change.relative == pytest.approx(0.1)
    assert state.change.low < math.log(1.1) < state.change.high


def test_what_is_not_seen_again_is_dismissed_however_sure_it_looked() -> None:
    slow = Run(20 * DAY, 0.5, 0.001)
    back = [Run(20 * DAY + 600 * i, 0.0, 0.005) for i in range(1, CONFIRMING + 1)]
    told = verdicts([*STEADY, slow, *back, *nights([0.0] * 10, start=21)])
    assert "worse" not in told
    assert told[20] == "suspected"
    assert told[20 + CONFIRMING] == "steady"


@pytest.mark.parametrize("accident", [-0.9, 0.9])
def test_end_of_an_accident_is_no_change(accident: float) -> None:
    """A night that nobody repeated must not draw the level its way, so that the return would look like a change."""
    noise = Noise("quality", 0.0005, watched=200)
    told = verdicts(nights([0.2] * 10 + [0.2 + accident] + [0.2] * 30, error=0.0), noise)
    assert not {"worse", "better"} & set(told)
    assert told[-1] == "steady"


def test_one_loud_run_among_the_later_ones_confirms_nothing() -> None:
    runs = [Run(20 * DAY, 0.1, 0.005), Run(20 * DAY + 60, 0.0, 0.01), Run(20 * DAY + 120, 0.005, 0.01)]
    assert verdicts([*STEADY, *runs, Run(20 * DAY + 180, 0.3, 0.001)])[-1] != "worse"


def test_small_change_is_found_from_several_nights_and_a_smaller_one_than_matters_never() -> None:
    found = verdicts([*STEADY, *nights([0.025] * 14, start=20)])
    assert found[20] == "steady"
    assert "suspected" in found[20:27]
    assert found.count("worse") == 1
    precise, little = Noise("speed", 0.0001, watched=200), SENSITIVITY["speed"].smallest / 2
    assert set(verdicts([*STEADY, *nights([little] * 60, error=0.0001, start=20)], precise)) == {"first", "steady"}


def test_run_without_an_interval_changes_nothing() -> None:
    blind = Run(20 * DAY, 5.0, math.inf)
    assert follow([*STEADY, blind], NOISE) == follow(STEADY, NOISE)
    assert follow([blind], NOISE) == State()


def test_faster_is_better_and_begins_a_level_too() -> None:
    found = verdicts([*STEADY, *nights([-0.2] * 10, start=20)])
    assert found.count("better") == 1
    assert "worse" not in found


def test_run_too_noisy_to_exclude_a_large_change_asks_for_another() -> None:
    assert verdicts([*STEADY, Run(20 * DAY, 0.0, 0.1)])[-1] == "unclear"
    assert verdicts([*STEADY, Run(20 * DAY, 0.0, 0.1), Run(20 * DAY + 600, 0.0, 0.005)])[-1] == "steady"


def test_the_more_series_are_watched_the_more_it_takes() -> None:
    slow = [*STEADY, Run(20 * DAY, 0.032, 0.006)]
    assert verdicts(slow, Noise("speed", 0.005, watched=1))[-1] == "suspected"
    assert verdicts(slow, Noise("speed", 0.005, watched=10_000))[-1] == "steady"


def test_what_differs_between_runs_is_not_averaged_away_in_one_night() -> None:
    """Fifty runs of one night say little more than a few, if nights differ by 5 %."""
    many = [Run(20 * DAY + 60 * i, 0.12, 0.005) for i in range(50)]
    assert "worse" not in verdicts([*STEADY, *many], Noise("speed", 0.05, watched=200))
    assert "worse" in verdicts([*STEADY, *many], NOISE)


def test_runs_of_one_night_are_told_by_the_gap() -> None:
    apart = follow([Run(0.0, 0.0, 0.01), Run(NIGHT_GAP + 1, 0.0, 0.01)], NOISE)
    together = follow([Run(0.0, 0.0, 0.01), Run(NIGHT_GAP - 1, 0.0, 0.01)], NOISE)
    assert (len(apart.nights), len(together.nights)) == (2, 1)


def test_quality_finds_one_percent_on_the_same_items() -> None:
    noise = Noise("quality", SENSITIVITY["quality"].floor, watched=400)
    runs = [Run(i * DAY, 3.0, 0.0) for i in range(5)]
    worse = Run(5 * DAY, 3.0 + math.log(1.01), 0.0)
    assert verdicts([*runs, worse, *again(worse, CONFIRMING)], noise)[-1] == "worse"


def test_noise_between_runs_is_found_beside_the_error_within_and_despite_a_change() -> None:
    rng = np.random.default_rng(1)
    for between in (0.01, 0.05):
        values = rng.normal(0, between, (40, 30)) + rng.normal(0, 0.01, (40, 30))
        values[:, 15:] += 0.3
        series = [[Run(i * DAY, float(v), 0.01) for i, v in enumerate(row)] for row in values]
        assert between_runs(series, "speed") == pytest.approx(between, rel=0.25)
    quiet = [nights([0.0] * 30, error=0.01)] * 10
    assert between_runs(quiet, "speed") == SENSITIVITY["speed"].floor


def test_few_pairs_are_believed_less() -> None:
    rng = np.random.default_rng(2)
    few = [ratio_interval((1 + 0.01 * rng.standard_normal(6)).tolist(), [1.0] * 6) for _ in range(400)]
    runs = [timed(0.0, ratio) for ratio in few]
    assert np.mean([abs(run.value) > 2 * run.error for run in runs]) < 0.01
    assert timed(0.0, ratio_interval([1.0] * 3, [1.0] * 3)).error == math.inf


@pytest.mark.parametrize("seed", range(20))
def test_only_differences_matter_and_worse_and_better_are_mirror_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.02, 30) + 0.1 * (rng.random() < 0.7) * (np.arange(30) > 15)
    found = verdicts(nights(values.tolist()))
    assert verdicts(nights((values + 2.0).tolist())) == found
    mirror = {"worse": "better", "better": "worse", "unclear": "steady"}  # only a change for the worse is feared
    turned = verdicts(nights((-values).tolist()))
    assert [mirror.get(v, v) for v in turned] == [v if v != "unclear" else "steady" for v in found]


def test_of_an_untimed_figure_more_is_worse_whichever_way_it_is_better() -> None:
    assert untimed(0.0, 0.5, "lower").value < untimed(0.0, 0.6, "lower").value
    assert untimed(0.0, 0.5, "higher").value > untimed(0.0, 0.6, "higher").value


@pytest.mark.parametrize(("value", "logarithm"), [(0.0, -LARGEST), (1e-300, -LARGEST), (1e300, LARGEST), (1.0, 0.0)])
def test_what_an_untimed_figure_can_be_at_most(value: float, logarithm: float) -> None:
    assert untimed(0.0, value, "lower").value == logarithm
    assert untimed(0.0, value, "higher").value == -logarithm
