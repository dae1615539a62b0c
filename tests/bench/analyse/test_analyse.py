"""Rows, summaries, comparisons, claims, controls and the frontier, on records whose truth is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analyse.claims import check_claims
from bench.analyse.compare import Improvement, improvement
from bench.analyse.controls import unbeaten
from bench.analyse.frontier import pareto
from bench.analyse.pairs import changes, pairwise
from bench.analyse.ranks import ranks
from bench.analyse.rows import Row, current, make_rows
from bench.analyse.summary import Cost, costs, lookup, quality, row_costs, row_quality
from bench.contract import Card, Claim
from bench.record.schema import Build, Record
from bench.registry.metrics import MARGIN, Metric
from tests.bench.analyse.record_factory import make_info, make_record

RNG = np.random.default_rng(0)
HARDNESS = RNG.normal(3.0, 0.8, 80)
"""Nats per document: documents differ far more than methods do."""

INFO = make_info()
PERPLEXITY, STORED, SPEED = INFO.scores["perplexity"], INFO.costs["stored_ratio"], INFO.costs["decode.tpot.ratio"]


def losses(shift: float, noise: float = 0.01, seed: int = 1) -> list[float]:
    return (HARDNESS + shift + np.random.default_rng(seed).normal(0, noise, 80)).tolist()


def times(ratio: float, n: int = 20, seed: int = 2) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    base = 0.1 * np.exp(rng.normal(0, 0.02, n))
    return {"candidate": (base * ratio * np.exp(rng.normal(0, 0.01, n))).tolist(), "baseline": base.tolist()}


def row(*records: Record) -> Row:
    (found,) = make_rows(records)
    return found


def test_a_row_holds_the_newest_record_of_each_seed() -> None:
    old, new = make_record(losses=losses(0.5), age=9), make_record(losses=losses(0.1), age=1)
    other_seed = make_record(losses=losses(0.1), seed=1, age=3)
    tuned = make_record(losses=losses(0.1), seed=2, age=5, hyperparameters={"samples": 9})
    found = row(other_seed, new, old, tuned)
    assert [(r.seed, r.id) for r in found.records] == [(0, new.id), (1, other_seed.id)]
    assert [r.name for r in make_rows([new, make_record(variant="mlp")])] == ["alpha", "alpha:mlp"]


def test_versions_of_a_suite_never_meet() -> None:
    rows = make_rows([make_record(age=5), make_record("beta", suite_version="2")])
    assert [r.method for r in current(rows)] == ["beta"]


def test_a_seed_that_failed_stays_visible() -> None:
    found = row(make_record(losses=losses(0)), make_record(seed=1, status="timeout", reason="60 s"))
    assert (found.status, len(found.ok), found.failed[0].reason) == ("ok", 1, "60 s")
    assert row(make_record(status="failed", reason="x")).status == "failed"


def test_costs_have_their_names_units_and_kinds() -> None:
    record = make_record(losses=losses(0), **times(0.5))
    found = costs(record)
    assert (found["stored_ratio"].kind, found["stored_ratio"].low, found["stored_ratio"].high) == ("exact", 0.5, 0.5)
    assert found["decode.tpot"].value == pytest.approx(np.median(record.timings["decode"]["tpot"].candidate))
    assert found["decode.tpot.ratio"].low < 0.5 < found["decode.tpot.ratio"].high
    assert found["decode.tpot.per_second"].value == pytest.approx(64 / (found["decode.tpot"].value or 0))
    assert found["decode.tpot.per_second"].unit == "token/s"
    assert "decode.tpot.p90" not in found  # 20 samples are too few
    assert (found["memory.peak"].unit, found["build.seconds"].unit) == ("B", "s")
    assert found["build.seconds"].high == math.inf  # measured once: nothing is known of its noise
    assert lookup(quality(record), found, "nothing").kind == "missing"
    assert lookup(quality(record), found, "perplexity").value == pytest.approx(math.exp(np.mean(losses(0))))


def test_a_speed_that_is_not_realised_says_so_and_compares_with_nothing() -> None:
    record = make_record(losses=losses(0), **times(0.5))
    timing = record.timings["decode"]["tpot"].model_copy(update={"realised": False})
    slow = record.model_copy(update={"timings": {"decode": {"tpot": timing}}})
    assert costs(slow)["decode.tpot.ratio"].kind == "not realised"
    assert improvement(row(slow), row(record), SPEED) is None


def test_seeds_are_pooled_with_their_spread() -> None:
    seeds = [make_record(losses=losses(shift), seed=i, **times(0.5, seed=i)) for i, shift in enumerate((-0.2, 0, 0.2))]
    one, three = row_quality(row(seeds[1]))["perplexity"], row_quality(row(*seeds))["perplexity"]
    assert three.value == pytest.approx(one.value, rel=0.01)
    assert three.n == one.n == 80
    assert math.log(three.high / three.value) > 4.3 * 0.2 / math.sqrt(3)
    builds = [make_record(seed=i, build=Build(seconds=s, peak_memory_bytes=1)) for i, s in enumerate((1.0, 2.0, 3.0))]
    assert row_costs(row(*builds[:2]))["build.seconds"].high == math.inf
    pooled = row_costs(row(*builds))["build.seconds"]
    assert (pooled.value, pooled.n) == (2.0, 3)
    assert pooled.high == pytest.approx(2 + 4.3027 / math.sqrt(3), rel=1e-3)
    assert row_costs(row(*seeds))["decode.tpot.ratio"].n == 60
    assert row_costs(row(*seeds))["stored_ratio"].high == 0.5


def test_a_failed_seed_adds_nothing_to_the_numbers() -> None:
    found = row(make_record(losses=losses(0)), make_record(losses=losses(9), seed=1, status="over_budget", reason="x"))
    assert row_quality(found)["perplexity"].value == pytest.approx(math.exp(np.mean(losses(0))))


def test_items_are_compared_pair_by_pair() -> None:
    good, bad = row(make_record(losses=losses(0.0))), row(make_record("beta", losses=losses(0.05, seed=3)))
    assert row_quality(good)["perplexity"].high > row_quality(bad)["perplexity"].low  # the plain intervals overlap
    change = improvement(good, bad, PERPLEXITY)
    assert change is not None
    assert 0.03 < change.low < change.value < change.high < 0.07
    back = improvement(bad, good, PERPLEXITY)
    assert back is not None
    assert back.high < 0
    assert improvement(good, row(make_record("beta", losses=[3.0] * 9)), PERPLEXITY) is None


def test_accuracy_improves_upwards_relative_to_the_other() -> None:
    high = row(make_record(right=[1.0] * 60 + [0.0] * 20))
    low = row(make_record("beta", right=[1.0] * 30 + [0.0] * 50))
    change = improvement(high, low, INFO.scores["accuracy"])
    assert change is not None
    assert change.value == pytest.approx(1.0)
    assert change.low > 0


positive = st.floats(0.01, 100)


@given(positive, positive, st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_cost_change_reverses(a: float, b: float, wide: float, other: float) -> None:
    left, right = (
        Cost(a, a * (1 - wide), a * (1 + wide), 9, "s", "measured"),
        Cost(b, b * (1 - other), b * (1 + other), 9, "s", "measured"),
    )
    found = changes([left, right])
    assert found.comparable[0, 1]
    assert found.comparable[1, 0]
    assert 1 + found.value[0, 1] == pytest.approx(1 / (1 + found.value[1, 0]))
    assert 1 + found.low[0, 1] == pytest.approx(1 / (1 + found.high[1, 0]))
    assert found.low[0, 1] <= found.value[0, 1] <= found.high[0, 1]


def test_absolute_times_are_compared_by_their_ratio_to_the_baseline() -> None:
    # the second process ran on a machine that was three times slower; next to its own baseline it is the faster one
    here = make_record(**times(1.0))
    slower = times(0.5)
    there = make_record(
        "beta", candidate=[3 * x for x in slower["candidate"]], baseline=[3 * x for x in slower["baseline"]]
    )
    for metric in (Metric("decode.tpot", "Time"), Metric("decode.tpot.per_second", "Speed", better="higher")):
        change = improvement(row(there), row(here), metric)
        assert change is not None
        assert change.low > 0.4


def test_ranks_tie_what_cannot_be_told_apart() -> None:
    rows = make_rows([
        make_record("a", losses=losses(0.0, noise=0.2, seed=1)),
        make_record("b", losses=losses(0.001, noise=0.2, seed=2)),
        make_record("c", losses=losses(0.5, seed=3)),
        make_record("d", status="failed", reason="x"),
    ])  # fmt: skip
    assert ranks(rows, PERPLEXITY) == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_frontier_holds_exactly_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    flags = pareto(points, "lower", "higher")
    assert any(flags)
    for (cost, value), kept in zip(points, flags, strict=True):
        beaten = any((c <= cost and v >= value) and (c, v) != (cost, value) for c, v in points)
        assert kept is not beaten
    assert pareto([(-c, -v) for c, v in points], "higher", "lower") == flags


def test_not_a_number_is_never_on_the_frontier() -> None:
    assert pareto([(math.nan, 1.0), (1.0, math.nan), (2.0, 0.0)]) == [False, False, True]


def test_controls_are_beaten_by_score_or_on_a_tie_by_cost() -> None:
    control = row(make_record("random", losses=losses(0.3, seed=4), **times(0.5)))
    better = row(make_record(losses=losses(0.1, seed=5), **times(0.9)))
    worse = row(make_record(losses=losses(0.5, seed=6), **times(0.1)))
    tie = row(make_record(losses=losses(0.3, seed=7), **times(0.5, seed=8)))
    faster = row(make_record(losses=losses(0.3, seed=7), **times(0.4)))
    larger = row(make_record(losses=losses(0.3, seed=7), figures={"stored_ratio": 0.9}, **times(0.4)))
    costs_ = [STORED, SPEED]
    beaten = [
        unbeaten([r, control], ["random"], PERPLEXITY, costs_) == {"alpha": []}
        for r in (better, worse, tie, faster, larger)
    ]
    assert beaten == [True, False, False, True, False]
    over = row(make_record("dense", status="over_budget", reason="x"))
    assert unbeaten([tie, over], ["dense"], PERPLEXITY, costs_) == {"alpha": []}


def test_a_score_that_may_be_worse_is_not_made_good_by_a_cost() -> None:
    control = row(make_record("random", losses=losses(0.3, noise=0.2, seed=4), **times(0.5)))
    unsure = row(make_record(losses=losses(0.3, noise=0.2, seed=7), **times(0.4)))
    change = improvement(unsure, control, PERPLEXITY)
    assert change is not None
    assert change.low < -MARGIN < 0 < change.high
    assert unbeaten([unsure, control], ["random"], PERPLEXITY, [STORED, SPEED]) == {"alpha": ["random"]}


def built(record: Record, **drawn: int) -> Record:
    """Its build drew so much; without anything it drew nothing."""
    return record.model_copy(update={"build": Build(seconds=1, peak_memory_bytes=1, drawn=drawn)})


@pytest.mark.parametrize("meter", ["training_tokens", "sample_passes"])
def test_what_was_not_trained_need_not_beat_a_control_that_was(meter: str) -> None:
    control, ours = make_record("random", losses=losses(0.1, seed=4)), make_record(losses=losses(0.5, seed=5))
    trained = built(control, **{meter: 9})
    for opponent, method, found in (
        (trained, built(ours), []),
        (trained, built(ours, calibration_tokens=9), []),
        (trained, built(ours, **{meter: 9}), ["random"]),
        (built(control), built(ours), ["random"]),
        (built(control), built(ours, **{meter: 9}), ["random"]),
        (trained, ours, ["random"]),  # it is not known whether it was
        (control, built(ours), ["random"]),
    ):
        assert unbeaten([row(method), row(opponent)], ["random"], PERPLEXITY, [STORED]) == {"alpha": found}


def test_of_boards_of_equal_methods_one_in_twenty_shows_an_order() -> None:
    """Twelve methods, forty documents that are hard or easy for all alike."""
    rng = np.random.default_rng(5)
    boards, ordered, alone = 300, 0, 0
    for _ in range(boards):
        hard = rng.normal(3, 0.5, 40)
        rows = make_rows([make_record(f"m{i}", losses=(hard + rng.normal(0, 0.1, 40)).tolist()) for i in range(12)])
        ordered += any(place != (1, 12) for place in ranks(rows, PERPLEXITY).values())
        pairs = pairwise(rows, PERPLEXITY)
        alone += bool((pairs.low > 0).any())
    assert ordered <= stats.binom.ppf(0.99, boards, 0.05)
    assert alone > boards / 4  # pair by pair, which is what must not be shown


def test_an_order_that_is_there_is_shown() -> None:
    rng = np.random.default_rng(5)
    hard = rng.normal(3, 0.5, 40)
    rows = make_rows([
        make_record(f"m{i:02}", losses=(hard + 0.1 * i + rng.normal(0, 0.1, 40)).tolist()) for i in range(12)
    ])  # fmt: skip
    assert ranks(rows, PERPLEXITY) == {f"m{i:02}": (i + 1, i + 1) for i in range(12)}


def card(*claims: Claim) -> Card:
    return Card("alpha", "Alpha", "Author (2024)", claims=claims)


def outcomes(claim: Claim, *records: Record) -> list[str]:
    return [check.outcome for check in check_claims(card(claim), make_rows(records), INFO)]


def test_rows_are_compared_over_the_seeds_that_both_have() -> None:
    """What makes a seed hard for both cancels there, and the seeds of one alone say nothing of the other."""
    hard = [0.0, 0.4, 0.9, 5.0, -4.0]
    alpha = [make_record(losses=losses(at, seed=s), seed=s) for s, at in enumerate(hard)]
    beta = [
        make_record("beta", losses=losses(at + 0.1, noise=0.01, seed=9 + s), seed=s) for s, at in enumerate(hard[:3])
    ]

    def change(mine: list[Record], theirs: list[Record]) -> Improvement:
        by_name = {row.method: row for row in make_rows([*mine, *theirs])}
        found = improvement(by_name["alpha"], by_name["beta"], PERPLEXITY)
        assert found is not None
        return found

    assert change(alpha, beta) == change(alpha[:3], beta)
    assert change(alpha, beta).low > 0
    few = change(alpha, beta[:2])  # two seeds tell no spread: all of each, side against side
    assert few.low < 0 < few.high


def test_a_claim_holds_fails_or_stays_open() -> None:
    claim = Claim("Better than random.", "Table 1", "perplexity", versus="random")
    random = make_record("random", losses=losses(0.3, noise=0.2, seed=4))
    assert outcomes(claim, random, make_record(losses=losses(0.0))) == ["holds"]
    assert outcomes(claim, random, make_record(losses=losses(0.6))) == ["does not hold"]
    assert outcomes(claim, random, make_record(losses=losses(0.3, noise=0.2, seed=5))) == ["unsure"]
    assert outcomes(claim, make_record(losses=losses(0.0))) == ["not measured"]
    assert outcomes(claim, random, make_record(status="timeout", reason="late")) == ["not measured"]
    assert outcomes(claim, random, make_record(losses=losses(0.0), hardware="gpu-test")) == ["not measured"]


def test_better_than_a_method_means_better_than_its_best_variant() -> None:
    claim = Claim("Better than beta.", "Table 1", "perplexity", versus="beta")
    weak = make_record("beta", losses=losses(0.9))
    strong = make_record("beta", variant="joint", losses=losses(-0.5))
    assert outcomes(claim, weak, make_record(losses=losses(0.0))) == ["holds"]
    assert outcomes(claim, weak, strong, make_record(losses=losses(0.0))) == ["does not hold"]
    plain = replace(claim, versus="beta:default")
    assert outcomes(plain, weak, strong, make_record(losses=losses(0.0))) == ["holds"]


def test_a_variant_is_held_against_the_same_variant_of_the_other() -> None:
    claim = Claim("Better than beta.", "Table 1", "perplexity", versus="beta")
    others = [make_record("beta", losses=losses(shift), variant=name) for name, shift in (("w8", 0.0), ("w3", 0.5))]
    better = losses(0.3)
    assert outcomes(claim, *others, make_record(losses=better, variant="w3")) == ["holds"]
    assert outcomes(claim, *others, make_record(losses=better, variant="w3-uniform")) == ["holds"]
    assert outcomes(claim, *others, make_record(losses=better, variant="w2")) == ["does not hold"]
    default = make_record("beta", losses=losses(0.5))
    assert outcomes(claim, *others, default, make_record(losses=better)) == ["does not hold"]


def test_a_claim_can_be_against_one_variant_of_the_method_itself() -> None:
    claim = Claim("The bias helps.", "Abstract", "perplexity", versus="alpha:no-bias")
    ablated = make_record("alpha", variant="no-bias", losses=losses(0.9))
    full = make_record(losses=losses(0.0))
    assert outcomes(claim, ablated, full) == ["holds"]  # the ablation is held against nothing, not even itself


def test_no_claim_is_about_a_variant_that_another_claim_is_held_against() -> None:
    bias = Claim("The bias helps.", "Abstract", "perplexity", versus="alpha:no-bias")
    chance = Claim("Better than random.", "Table 1", "perplexity", versus="random")
    records = [make_record(), make_record("alpha", variant="no-bias"), make_record("random")]

    def about(*claims: Claim) -> list[str]:
        found = check_claims(card(*claims), make_rows(records), INFO)
        return [check.row.name for check in found]

    assert about(chance) == ["alpha", "alpha:no-bias"]
    assert about(bias, chance) == ["alpha", "alpha"]
    assert about(bias, replace(chance, variant="no-bias")) == ["alpha", "alpha:no-bias"]


def test_a_claim_can_be_about_one_variant_alone() -> None:
    claim = Claim("Narrow is better.", "Section 4", "perplexity", versus="random")
    rows = [make_record(losses=losses(0.6)), make_record("alpha", variant="narrow", losses=losses(0.0))]
    random = make_record("random", losses=losses(0.3))
    assert sorted(outcomes(claim, random, *rows)) == ["does not hold", "holds"]
    assert outcomes(replace(claim, variant="narrow"), random, *rows) == ["holds"]


def test_a_claim_can_be_about_some_operating_points_alone() -> None:
    claim = Claim("Better, at half the size.", "Section 4", "perplexity", versus="random", points=("half",))
    records = [
        make_record(name, losses=losses(shift), point=point)
        for name, shift in (("alpha", 0.1), ("random", 0.4))
        for point in ("half", "all")
    ]
    assert outcomes(claim, *records) == ["holds"]
    assert outcomes(replace(claim, points=()), *records) == ["holds", "holds"]
    with pytest.raises(ValueError, match="tuple of names"):
        Claim("Better.", "Section 4", "perplexity", points="half")  # type: ignore[arg-type]


def test_keeping_the_level_of_the_baseline() -> None:
    claim = Claim("Keeps perplexity.", "Abstract", "perplexity", relation="same")
    dense = make_record("dense", losses=losses(0.0, seed=3), point="all")
    over = make_record("dense", status="over_budget", reason="stored_ratio")
    assert outcomes(claim, dense, over, make_record(losses=losses(0.001))) == ["holds"]
    assert outcomes(claim, dense, over, make_record(losses=losses(0.2))) == ["does not hold"]
    assert outcomes(claim, dense, over, make_record(losses=losses(0.02, noise=0.05))) == ["unsure"]
    # a baseline of another problem is no baseline
    assert outcomes(claim, dense, make_record(losses=losses(0.001), point="other")) == ["not measured"]


def test_a_ratio_is_held_against_one() -> None:
    claim = Claim("Faster than dense.", "Table 2", "decode.tpot.ratio")
    assert outcomes(claim, make_record(**times(0.5))) == ["holds"]
    assert outcomes(claim, make_record(**times(1.5))) == ["does not hold"]
    assert outcomes(claim, make_record(**times(0.5, n=4))) == ["unsure"]
    assert outcomes(claim, make_record(losses=losses(0))) == ["not measured"]
