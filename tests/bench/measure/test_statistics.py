"""What a wrong statistic would get wrong: coverage by simulation, invariances by property, small cases by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.contract import Score
from bench.measure.statistics import (
    MIN_PAIRS,
    Estimate,
    mean_estimate,
    mean_with_spread,
    median_estimate,
    min_samples,
    paired_difference,
    percentile,
    percentile_interval,
    pooled_difference,
    pooled_estimate,
    ratio_interval,
    share_interval,
    verdict,
)

numbers = st.floats(-1e3, 1e3)
times = st.floats(1e-6, 1e3)
lists = st.lists(numbers, min_size=2, max_size=30)


def covered(estimates: list[Estimate], truth: float) -> float:
    return sum(e.low <= truth <= e.high for e in estimates) / len(estimates)


@given(lists)
def test_the_estimate_is_the_score_and_lies_in_its_interval(samples: list[float]) -> None:
    for aggregate in ("mean", "max"):
        estimate = mean_estimate(samples, aggregate=aggregate)
        assert estimate.value == pytest.approx(Score("x", samples, aggregate=aggregate).value, abs=1e-9)
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.n == len(samples)


@given(st.lists(st.tuples(st.floats(0.01, 9), st.floats(2, 50)), min_size=2, max_size=20))
def test_perplexity_is_the_exponential_of_weighted_nats(pairs: list[tuple[float, float]]) -> None:
    losses, words = [loss * count for loss, count in pairs], [count for _, count in pairs]
    estimate = mean_estimate(losses, words, "exp_mean")
    assert estimate.value == pytest.approx(Score("x", losses, words, "exp_mean").value)
    logs = mean_estimate(losses, words)
    assert (estimate.low, estimate.high) == pytest.approx((math.exp(logs.low), math.exp(logs.high)))
    assert estimate.stderr == pytest.approx(estimate.value * (logs.stderr or 0))


def test_weights_make_a_ratio_estimator_not_a_mean_of_ratios() -> None:
    estimate = mean_estimate([1.0, 9.0], [1.0, 3.0])
    assert estimate.value == 2.5
    # residuals 1 - 2.5 and 9 - 7.5 over a total weight of 4
    assert estimate.stderr == pytest.approx(math.sqrt(2 * 2 * 1.5**2) / 4)


def test_shares_get_wilsons_interval_even_at_the_edge() -> None:
    estimate = mean_estimate([1.0] * 10)
    assert estimate.high == 1.0
    assert estimate.low == pytest.approx(stats.binomtest(10, 10).proportion_ci(method="wilson").low)
    half = mean_estimate([0.0, 1.0] * 20)
    ci = stats.binomtest(20, 40).proportion_ci(method="wilson")
    assert (half.low, half.high) == pytest.approx((ci.low, ci.high))


def test_a_mean_covers_the_truth_about_95_percent_of_the_time() -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(5, 40, size=(600, 25)).astype(float)
    samples = weights * 2.0 + rng.normal(0, 3, size=weights.shape)
    share = covered([mean_estimate(x.tolist(), w.tolist()) for x, w in zip(samples, weights, strict=True)], 2.0)
    assert 0.92 < share < 0.98


def test_one_sample_supports_no_interval_and_infinity_stays_infinity() -> None:
    single = mean_estimate([3.0])
    assert (single.value, single.low, single.high, single.stderr) == (3.0, -math.inf, math.inf, None)
    diverged = mean_estimate([1.0, math.inf], aggregate="exp_mean")
    assert (diverged.value, diverged.low) == (math.inf, math.inf)
    unknown = mean_estimate([1.0, math.nan])
    assert math.isnan(unknown.value)
    assert (unknown.low, unknown.high) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="no samples"):
        mean_estimate([])


@given(lists, st.floats(-50, 50))
def test_pairing_removes_what_both_share(samples: list[float], shift: float) -> None:
    difference = paired_difference(Score("a", [x + shift for x in samples]), Score("b", samples))
    assert difference.value == pytest.approx(shift, abs=1e-9)
    if not set(samples) <= {0.0, 1.0}:
        assert difference.high - difference.low == pytest.approx(0, abs=1e-6)


@given(lists)
def test_a_difference_turns_its_sign_with_its_sides(samples: list[float]) -> None:
    other = list(reversed(samples))
    one = paired_difference(Score("a", samples), Score("b", other))
    two = paired_difference(Score("b", other), Score("a", samples))
    assert (one.value, one.low, one.high) == pytest.approx((-two.value, -two.high, -two.low), abs=1e-9)


def test_perplexities_are_compared_as_a_relative_change() -> None:
    rng = np.random.default_rng(2)
    words = rng.integers(50, 500, 60).astype(float)
    losses = words * rng.normal(3.5, 0.8, 60)
    worse = losses + words * rng.normal(math.log(1.1), 0.02, 60)
    base, other = (
        Score("a", losses.tolist(), words.tolist(), "exp_mean"),
        Score("b", worse.tolist(), words.tolist(), "exp_mean"),
    )
    change = paired_difference(other, base)
    assert change.value == pytest.approx(other.value / base.value - 1)
    assert 0.08 < change.low < change.value < change.high < 0.12
    # the two intervals on their own overlap widely: only the pairing sees the difference
    assert (
        mean_estimate(losses.tolist(), words.tolist(), "exp_mean").high
        > mean_estimate(worse.tolist(), words.tolist(), "exp_mean").low
    )


def test_equal_answers_do_not_prove_equal_accuracy() -> None:
    same = paired_difference(Score("a", [1.0, 0.0] * 10), Score("b", [1.0, 0.0] * 10))
    assert same.value == 0
    assert same.low < -0.01
    assert same.high > 0.01


def test_a_paired_share_covers_the_truth() -> None:
    rng = np.random.default_rng(3)
    estimates = []
    for _ in range(600):
        a = rng.random(60) < 0.7
        b = np.where(rng.random(60) < 0.15, ~a, a)
        estimates.append(paired_difference(Score("a", a.astype(float).tolist()), Score("b", b.astype(float).tolist())))
    assert 0.93 < covered(estimates, 0.7 - (0.7 * 0.85 + 0.3 * 0.15)) <= 0.99


def test_other_data_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="not the same data"):
        paired_difference(Score("a", [1.0, 2.0]), Score("b", [1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="not the same data"):
        paired_difference(Score("a", [1.0]), Score("b", [1.0], aggregate="max"))


def test_seeds_do_not_count_as_items_but_their_spread_counts() -> None:
    rng = np.random.default_rng(4)
    items = rng.normal(0, 1, 50)
    one = mean_estimate(items.tolist())
    copies = pooled_estimate([Score("x", items.tolist())] * 5)
    assert (copies.low, copies.high, copies.n) == pytest.approx((one.low, one.high, 50))
    shifted = [Score("x", (items + shift).tolist()) for shift in (-2.0, 0.0, 2.0)]
    assert pooled_estimate(shifted).value == pytest.approx(one.value)
    # Student's interval of three seeds that stand 2 apart: 4.303 * 2 / sqrt(3)
    assert pooled_estimate(shifted).high - one.value == pytest.approx(
        math.hypot(4.3027 * 2 / math.sqrt(3), one.high - one.value), rel=1e-3
    )
    against = pooled_difference(shifted, [Score("x", items.tolist())])
    assert against.value == pytest.approx(0, abs=1e-12)
    assert against.high == pytest.approx(4.3027 * 2 / math.sqrt(3), rel=1e-3)
    # where both have the same seeds, what moves both alike says nothing of the difference
    higher = [Score("x", (items + shift).tolist()) for shift in (-1.5, 0.5, 2.5)]
    seed_by_seed = pooled_difference(higher, shifted, same_seeds=True)
    assert (seed_by_seed.low, seed_by_seed.high) == pytest.approx((0.5, 0.5))
    assert pooled_difference(higher, shifted).low < 0
    turned = pooled_difference(higher[::-1], shifted, same_seeds=True)  # but what moves them apart counts
    assert turned.high - 0.5 == pytest.approx(4.3027 * 4 / math.sqrt(3), rel=1e-3)
    assert pooled_estimate(shifted[:2]).high - pooled_estimate(shifted[:2]).value == pytest.approx(one.high - one.value)


@given(st.lists(st.tuples(times, times), min_size=MIN_PAIRS, max_size=25))
def test_a_ratio_is_inverted_by_its_sides_and_untouched_by_its_unit(pairs: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    one, two = ratio_interval(a, b), ratio_interval(b, a)
    assert (one.value, one.low, one.high) == pytest.approx((1 / two.value, 1 / two.high, 1 / two.low))
    assert one.low <= one.value <= one.high
    milliseconds = ratio_interval([x * 1000 for x in a], [x * 1000 for x in b])
    assert (milliseconds.value, milliseconds.low) == pytest.approx((one.value, one.low))


@given(st.permutations(range(8)))
@settings(max_examples=25)
def test_the_interval_is_the_signed_rank_one_of_the_tables_or_wider(order: list[int]) -> None:
    # n = 8: the critical value is 3, so the interval runs from the 4th smallest to the 4th largest Walsh average
    logs = np.array([-1.0, 0.2, 0.5, 0.9, 1.4, 2.0, 3.1, 4.7])[order]
    walsh = sorted((x + y) / 2 for i, x in enumerate(logs) for y in logs[i:])
    estimate = ratio_interval(np.exp(logs).tolist(), [1.0] * 8)
    value, low, high = math.log(estimate.value), math.log(estimate.low), math.log(estimate.high)
    # then stretched on both sides alike, as eight pairs cannot show that they are independent
    stretch = (value - low) / (value - walsh[3])
    assert stretch == pytest.approx((high - value) / (walsh[-4] - value))
    assert 1 <= stretch < 5


@pytest.mark.parametrize(("pairs", "outliers"), [(6, 0.0), (20, 0.0), (20, 0.05), (80, 0.1)])
def test_a_ratio_covers_the_truth_with_outliers_on_both_sides(pairs: int, outliers: float) -> None:
    rng = np.random.default_rng(5)
    estimates = []
    for _ in range(300):
        shared = np.exp(np.cumsum(rng.normal(0, 0.05, pairs)))  # the machine drifts: it cancels in each pair
        both = [shared * np.exp(rng.normal(0, 0.03, pairs)) for _ in range(2)]
        for series in both:
            series[rng.random(pairs) < outliers] *= 5
        estimates.append(ratio_interval((0.8 * both[0]).tolist(), both[1].tolist()))
    assert covered(estimates, 0.8) > 0.92
    if pairs >= 20:
        widths = [e.high - e.low for e in estimates]
        assert np.median(widths) < 0.12  # an outlier of 5x moves a mean of 20 by more than this


def test_a_ratio_that_wanders_gets_a_wider_interval() -> None:
    rng = np.random.default_rng(6)
    estimates, naive = [], []
    for _ in range(150):
        logs = np.zeros(128)
        for i, noise in enumerate(rng.normal(0, 0.05, 128)):
            logs[i] = noise + (0.7 * logs[i - 1] if i else 0)
        estimates.append(ratio_interval(np.exp(logs).tolist(), [1.0] * 128))
        mixed = rng.permutation(logs)
        naive.append(ratio_interval(np.exp(mixed).tolist(), [1.0] * 128))
    assert covered(estimates, 1.0) > 0.9
    assert covered(naive, 1.0) < 0.8


def test_too_few_pairs_have_no_interval() -> None:
    few = ratio_interval([1.0] * (MIN_PAIRS - 1), [2.0] * (MIN_PAIRS - 1))
    assert (few.value, few.low, few.high) == (0.5, 0.0, math.inf)
    assert ratio_interval([1.0] * MIN_PAIRS, [2.0] * MIN_PAIRS).high == pytest.approx(0.5)
    with pytest.raises(ValueError, match="positive"):
        ratio_interval([0.0] * 8, [1.0] * 8)
    with pytest.raises(ValueError, match="baseline"):
        ratio_interval([1.0] * 8, [1.0] * 7)


def test_medians_and_repeated_measurements() -> None:
    rng = np.random.default_rng(7)
    assert covered([median_estimate(rng.exponential(1, 15).tolist()) for _ in range(500)], math.log(2)) > 0.94
    assert median_estimate([1.0, 2.0, 9.0]).high == math.inf
    assert covered([mean_with_spread(rng.normal(5, 1, 3).tolist()) for _ in range(500)], 5) > 0.92
    assert mean_with_spread([1.0, 2.0]).low == -math.inf


def test_percentiles_need_their_samples() -> None:
    assert [min_samples(q) for q in (0.5, 0.9, 0.99)] == [11, 64, 662]
    assert percentile(list(range(63)), 0.9) is None
    assert percentile([float(x) for x in range(1, 65)], 0.9) == 58.0
    assert percentile([1.0] * 661, 0.99) is None
    assert percentile([1.0] * 662, 0.99) == 1.0


@given(st.integers(64, 400), st.floats(0.2, 0.9))
def test_a_percentile_leaves_its_share_behind(n: int, q: float) -> None:
    value = percentile([float(x) for x in range(1, n + 1)], q)
    assert value is not None
    assert value >= q * (n - 1) + 1 - 1e-9


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.03, 0.10, "better"),
        (-0.10, -0.03, "worse"),
        (-0.01, 0.02, "same"),
        (0.01, 0.10, "unsure"),
        (-0.10, 0.10, "unsure"),
        (-math.inf, math.inf, "unsure"),
    ],
)
def test_the_four_verdicts(low: float, high: float, expected: str) -> None:
    assert verdict(low, high, 0.02) == expected


@pytest.mark.parametrize(("q", "n"), [(0.5, 11), (0.9, 64), (0.9, 300), (0.99, 662)])
def test_a_percentile_interval_covers_the_percentile(q: float, n: int) -> None:
    rng = np.random.default_rng(8)
    found = [percentile_interval(rng.exponential(1, n).tolist(), q) for _ in range(400)]
    estimates = [estimate for estimate in found if estimate is not None]
    assert len(estimates) == 400
    assert covered(estimates, -math.log(1 - q)) > 0.93
    assert all(math.isfinite(estimate.high - estimate.low) for estimate in estimates)


@given(st.lists(st.floats(1e-6, 1e3), min_size=64, max_size=200), st.floats(0.1, 10))
@settings(max_examples=30)
def test_a_percentile_interval_holds_the_percentile_and_scales_with_it(samples: list[float], factor: float) -> None:
    one, scaled = percentile_interval(samples, 0.9), percentile_interval([factor * x for x in samples], 0.9)
    assert one is not None
    assert scaled is not None
    assert one.low <= one.value <= one.high
    assert one.value == percentile(samples, 0.9)
    assert (scaled.low, scaled.high) == pytest.approx((factor * one.low, factor * one.high))
    assert percentile_interval(samples[:63], 0.9) is None


def test_equal_things_are_hardly_ever_called_faster_and_mostly_the_same() -> None:
    rng = np.random.default_rng(9)

    def said(spread: float, pairs: int, margin: float) -> str:
        ratio = ratio_interval(*np.exp(rng.normal(0, spread, (2, pairs))).tolist())
        return verdict(-math.log(ratio.high), -math.log(ratio.low), math.log1p(margin))

    assert [said(0.01, 40, 0.02) for _ in range(200)].count("same") > 180
    different = [said(0.02, 15, 0.0) for _ in range(400)]
    assert different.count("better") + different.count("worse") <= 0.05 * 400


def test_a_share_of_tries() -> None:
    ci = stats.binomtest(3, 120).proportion_ci(method="wilson")
    estimate = share_interval(3, 120)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.025, ci.low, ci.high))
    with pytest.raises(ValueError, match="3 hits in 2"):
        share_interval(3, 2)


def slices(share: float | np.ndarray, pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Seconds that another process takes: 1-10 ms, of this share of the pairs."""
    return (rng.random(pairs) < share) * rng.uniform(0.001, 0.01, pairs)


def spoilt(kind: str, pairs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Times of two equal things on a machine with trouble."""
    drift = np.exp(0.3 * np.linspace(0, 1, pairs))
    candidate, baseline = (0.003 * drift * np.exp(rng.normal(0, 0.01, pairs)) for _ in range(2))
    if kind == "heavy tails":
        candidate *= np.exp(0.01 * rng.standard_t(2, pairs))
    if kind == "time slices":
        candidate, baseline = (x + slices(0.3, pairs, rng) for x in (candidate, baseline))
    if kind == "a neighbour that comes and goes":
        share = np.where(np.cumsum(rng.random(pairs) < 0.1) % 2, 0.6, 0.02)
        candidate, baseline = (x + slices(share, pairs, rng) for x in (candidate, baseline))
    if kind == "autocorrelation":
        noise = rng.normal(0, 0.02, pairs)
        for i in range(1, pairs):
            noise[i] += 0.3 * noise[i - 1]
        candidate *= np.exp(noise)
    return candidate, baseline


@pytest.mark.parametrize("pairs", [8, 20, 60])
@pytest.mark.parametrize(
    "kind", ["drift", "heavy tails", "time slices", "a neighbour that comes and goes", "autocorrelation"]
)
def test_a_ratio_covers_the_truth_on_a_machine_with_trouble(kind: str, pairs: int) -> None:
    rng = np.random.default_rng(11)
    found = [spoilt(kind, pairs, rng) for _ in range(300)]
    estimates = [ratio_interval(candidate.tolist(), baseline.tolist()) for candidate, baseline in found]
    assert covered(estimates, 1.0) >= 0.93
