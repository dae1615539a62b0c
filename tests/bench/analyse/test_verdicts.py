"""Floors, bounds, seeds that differ widely or in number, relations of claims: what an expert would sign."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.analyse.alarms import alarms
from bench.analyse.claims import check_claims
from bench.analyse.compare import improvement
from bench.analyse.controls import unbeaten
from bench.analyse.floors import Floors, guessing, silenced
from bench.analyse.pairs import pairwise
from bench.analyse.ranks import ranks
from bench.analyse.rows import Row, make_rows
from bench.analyse.seeds import fitted
from bench.analyse.summary import Cost, costs, figure, quality, ragged, row_quality, uneven, within
from bench.contract import Card, Claim
from bench.record.schema import Batch, Record, Samples, Throughput
from bench.registry import open_registry
from bench.registry.metrics import Metric, WorkloadInfo
from bench.run.plan import Selection, make_plan
from tests.bench.analyse.record_factory import COSTS, SCORES, make_info, make_problem, make_record

DOCUMENTS = np.random.default_rng(0).normal(0, 0.3, 50)
PERPLEXITY = replace(SCORES[0], bounds=(1.0, math.inf), floor={"toy": 1.39e6})
ACCURACY = replace(SCORES[1], bounds=(0.0, 1.0))
INFO = make_info(problems={name: make_problem(name, (PERPLEXITY, ACCURACY)) for name in ("main", "other")})
WILD = (3.5e5, 6.8e10, 1.3e6)


def scoring(method: str, perplexity: float, seed: int = 0, noise: float = 0.02, **changes: object) -> Record:
    """A record whose perplexity is about this."""
    rng = np.random.default_rng([seed, *method.encode()])
    losses = math.log(perplexity) + DOCUMENTS - DOCUMENTS.mean() + rng.normal(0, noise, 50)
    return make_record(method, losses=losses.tolist(), seed=seed, **changes)


def wild(method: str = "random", values: Sequence[float] = WILD) -> list[Record]:
    return [scoring(method, value, seed) for seed, value in enumerate(values)]


def rows_of(*records: Record) -> list[Row]:
    return make_rows(records)


def card(claim: Claim) -> Card:
    return Card("alpha", "Alpha", "Author (2024)", claims=(claim,))


def outcomes(claim: Claim, *records: Record) -> list[tuple[str, str]]:
    rows = make_rows(records)
    checks = check_claims(card(claim), rows, INFO, Floors(rows, INFO, ["unigram"]))
    return [(check.outcome, check.reason) for check in checks]


# --- Worse than guessing ---


def test_what_does_not_beat_the_floor_shares_the_last_rank() -> None:
    rows = rows_of(
        scoring("good", 60), scoring("fair", 300), scoring("bad", 9e7), scoring("worse", 4e9), *wild("random")
    )
    said = guessing(rows, PERPLEXITY, [])
    assert said == {
        "bad": "worse than guessing", "worse": "worse than guessing", "random": "no better than guessing",
    }  # fmt: skip
    found = ranks(rows, PERPLEXITY, at_bottom=said)
    assert found == {"good": (1, 1), "fair": (2, 2), "bad": (3, 5), "worse": (3, 5), "random": (3, 5)}
    assert guessing(rows, replace(PERPLEXITY, floor=None), []) == {}
    assert guessing(rows, replace(PERPLEXITY, floor={"another base": 5.0}), []) == {}


def test_a_trivial_control_raises_the_floor() -> None:
    rows = rows_of(scoring("good", 60), scoring("bad", 30_000), scoring("near", 19_900, noise=0.3),
                   scoring("unigram", 19_949))  # fmt: skip
    assert guessing(rows, PERPLEXITY, ["unigram"]) == {
        "bad": "worse than guessing", "near": "no better than guessing", "unigram": "no better than guessing",
    }  # fmt: skip
    assert guessing(rows, PERPLEXITY, []) == {}


def test_of_equal_methods_that_guess_one_board_in_twenty_says_that_one_does_not() -> None:
    rng = np.random.default_rng(3)
    boards, told = 100, 0
    for _ in range(boards):
        noise = rng.normal(0, 0.3, (12, 40))
        rows = make_rows([make_record(f"m{i:02}", losses=(math.log(1.39e6) + noise[i]).tolist()) for i in range(12)])
        told += len(guessing(rows, PERPLEXITY, [])) < 12
    assert told <= stats.binom.ppf(0.99, boards, 0.05)


def test_what_guesses_is_no_control_and_has_no_verdict_with_its_like() -> None:
    rows = rows_of(scoring("alpha", 60), scoring("beta", 9e7), scoring("gamma", 4e9), *wild("random"))
    said = guessing(rows, PERPLEXITY, [])
    assert unbeaten(rows, ["random"], PERPLEXITY, COSTS[:1], at_bottom=said) == {"alpha": [], "beta": [], "gamma": []}
    names = [row.name for row in rows]
    bottom = np.array([name in said for name in names])
    pairs = silenced(pairwise(rows, PERPLEXITY), bottom)
    beta, gamma, alpha = (names.index(name) for name in ("beta", "gamma", "alpha"))
    assert not pairs.comparable[beta, gamma]
    assert pairs.comparable[alpha, beta]
    assert pairs.comparable[beta, beta]


def test_trivial_controls_are_named_by_their_cards() -> None:
    registry = open_registry(plugins=False)
    assert registry.trivial("image-classification") == {"majority", "mean-image-nearest"}
    assert registry.trivial("vision-compression") == {"mean-answer"}
    with pytest.raises(ValueError, match="is a control"):
        Card("alpha", "Alpha", "Author", trivial=True, claims=(Claim("x", "y", "perplexity"),))


# --- Bounds ---


def test_no_interval_leaves_the_bounds_of_its_score() -> None:
    losses = np.abs(np.random.default_rng(2).normal(0, 0.2, 9)) * np.array([1, 0, 0, 0, 0, 0, 0, 0, 9])
    (row,) = rows_of(make_record(losses=losses.tolist()))
    assert row_quality(row)["perplexity"].low < 1  # what the interval would be
    assert figure(row, PERPLEXITY).low == 1
    assert figure(row, PERPLEXITY).high == row_quality(row)["perplexity"].high
    shares = [[1.0] * 38 + [0.5, 0.9], [1.0] * 38 + [0.6, 0.8], [1.0] * 39 + [0.4]]
    (row,) = rows_of(*(make_record(right=each, seed=seed) for seed, each in enumerate(shares)))
    plain, held = row_quality(row)["accuracy"], figure(row, ACCURACY)
    assert held.value is not None
    assert plain.high > 1 > held.high > held.value
    assert held.low < plain.low  # as Wilson's, it leans away from the bound


def test_no_difference_is_larger_than_the_bounds_allow() -> None:
    right = np.random.default_rng(4).random(12) < 0.3
    high, low = make_record("alpha", right=[0.0] * 11 + [1.0]), make_record("beta", right=right.astype(float).tolist())
    alpha, beta = rows_of(high, low)
    free, held = improvement(alpha, beta, replace(ACCURACY, bounds=(-9.0, 9.0))), improvement(alpha, beta, ACCURACY)
    assert free is not None
    assert held is not None
    assert free.low < -1 == held.low
    assert held.value == free.value


def test_a_value_beyond_its_bounds_is_an_alarm() -> None:
    (good,) = rows_of(scoring("alpha", 60))
    assert alarms(good, INFO) == []
    (bad,) = rows_of(make_record("alpha", losses=[-0.5] * 9))
    (alarm,) = alarms(bad, INFO)
    assert "alpha at half" in alarm
    assert "perplexity is 0.606531" in alarm


def test_an_estimate_beyond_a_bound_is_the_bound_while_its_interval_reaches_back() -> None:
    """As of a calibration error near zero, corrected for its bias."""
    near, far = (Cost(value, value - 0.01, value + 0.01, 60, "", "measured") for value in (-0.005, -0.02))
    found = within(near, (0.0, 1.0))
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0 < found.high < 0.01
    assert within(far, (0.0, 1.0)) == far


def test_every_score_of_every_suite_states_its_bounds_or_is_of_either_sign() -> None:
    open_scores = {
        (suite, name)
        for suite, info in open_registry(plugins=False).suites.items()
        for name, metric in info.scores.items()
        if metric.bounds == (-math.inf, math.inf) and metric.unit != "dB"  # decibels go both ways
    }
    assert open_scores == {("lm-finetuning", "forgetting")}


@pytest.mark.parametrize(
    "wrong",
    [
        {"bounds": [1, 0]}, {"bounds": [0]}, {"bounds": [0, 1], "floor": 2}, {"margin": 0},
        {"difference": "some"}, {"goal": "nicer"}, {"bounds": [0, 1], "floor": {"toy": -1}},
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="accuracy: "):
        Metric.read("accuracy", {"title": "Accuracy", **wrong})


# --- Seeds ---


@pytest.mark.parametrize("others", [1, 2, 12])
@pytest.mark.parametrize("seeds", [1, 3])
def test_a_loss_in_every_seed_is_a_loss(others: int, seeds: int) -> None:
    methods = [scoring(f"m{i:02}", 300 + 30 * i, seed) for i in range(others) for seed in range(seeds)]
    rows = rows_of(*wild(), *methods)
    found = ranks(rows, replace(PERPLEXITY, floor=None), ["random"])
    assert found["random"] == (others + 1, others + 1)
    by_name = {row.name: row for row in rows}
    change = improvement(by_name["random"], by_name["m00"], PERPLEXITY)
    assert change is not None
    assert change.high < 0


def test_a_loss_in_two_of_three_seeds_is_none() -> None:
    rows = rows_of(*wild(values=(3.5e5, 6.8e10, 100)), scoring("alpha", 376))
    assert ranks(rows, replace(PERPLEXITY, floor=None)) == {"alpha": (1, 2), "random": (1, 2)}


def board_of_equals(rng: np.random.Generator, seeds: Sequence[int], spreads: Sequence[float]) -> list[Row]:
    """Twelve methods that are equal but for chance: among documents, and among seeds by their spreads."""
    hard = rng.normal(3, 0.5, 40)
    return make_rows([
        make_record(f"m{i:02}", seed=seed, losses=(hard + rng.normal(0, spreads[i]) + rng.normal(0, 0.1, 40)).tolist())
        for i in range(12)
        for seed in range(seeds[i])
    ])  # fmt: skip


BOARDS = {
    "three seeds": (lambda rng: ([3] * 12, [0.1] * 12), 5),
    "five seeds": (lambda rng: ([5] * 12, [0.1] * 12), 5),
    "one seed or three": (lambda rng: ([1, 3] * 6, [0.1] * 12), 5),
    "spreads that differ": (lambda rng: ([3] * 12, 0.05 * np.exp(rng.normal(0, 1.2, 12))), 6),
    "three that hang on their seed": (lambda rng: ([3] * 3 + [1] * 9, [0.3] * 3 + [0.0] * 9), 5),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOARDS)
def test_of_boards_of_equal_methods_with_seeds_one_in_twenty_shows_an_order(kind: str) -> None:
    make, percent = BOARDS[kind]
    rng = np.random.default_rng(5)
    boards, ordered, lost = 150, 0, 0
    for _ in range(boards):
        seeds, spreads = make(rng)
        rows = board_of_equals(rng, seeds, spreads)
        hanging = [f"m{i:02}" for i in range(12) if spreads[i]]
        ordered += any(place != (1, 12) for place in ranks(rows, SCORES[0], hanging).values())
        lost += all(unbeaten(rows, ["m00"], SCORES[0], (), hanging).values()) is False
    assert ordered <= stats.binom.ppf(0.99, boards, percent / 100)
    assert lost <= stats.binom.ppf(0.99, boards, percent / 100)


def test_what_a_board_tells_of_spread_is_worth_more_where_its_rows_agree() -> None:
    rng = np.random.default_rng(2)
    alike = fitted(0.01 * rng.chisquare(2, 40) / 2, 2, 40)
    apart = fitted(0.01 * np.exp(rng.normal(0, 2, 40)) * rng.chisquare(2, 40) / 2, 2, 40)
    assert alike.variance == pytest.approx(0.01, rel=0.5)
    assert alike.freedom > 4 * apart.freedom > 0
    assert fitted(np.array([0.0, 0.0, 0.01, 0.02]), 2, 4).freedom == 0  # two tell nothing


def test_seeds_with_unequal_numbers_of_items_all_count_and_it_is_said() -> None:
    lengths, levels = (44, 44, 45), (0.9, 1.0, 2.0)
    rng = np.random.default_rng(1)
    records = [
        make_record(losses=[4.0] * 9, seed=seed).model_copy(
            update={"quality": {"loss": Samples(samples=rng.normal(level, 0.1, length).tolist()),
                                "perplexity": Samples(samples=[4.0] * length, aggregate="exp_mean")}}
        )
        for seed, (length, level) in enumerate(zip(lengths, levels, strict=True))
    ]  # fmt: skip
    (row,) = rows_of(*records)
    each = [quality(record)["loss"].value for record in records]
    found = row_quality(row)["loss"]
    assert found.value == pytest.approx(np.mean(each))
    assert found.n == sum(lengths)
    assert found.high - found.value > 4.3 * np.std(each, ddof=1) / math.sqrt(3)
    assert row_quality(row)["perplexity"].value == pytest.approx(math.exp(4))
    assert ragged(row) == ["loss", "perplexity"]
    own = replace(Metric("loss", "Loss"), own_items=True)
    info = make_info(problems={"main": make_problem("main", (PERPLEXITY, own)), "other": make_problem("other")})
    (alarm,) = alarms(row, info)  # the loss has a sample a step, and runs differ in steps; the exam is one for all
    assert "perplexity: its seeds scored unequal numbers of items, 44 (seed 0), 44 (seed 1), 45 (seed 2)" in alarm
    other = make_record("beta").model_copy(update={"quality": {"loss": Samples(samples=[9.0, 9.1] * 20)}})
    change = improvement(row, rows_of(other)[0], own)
    assert change is not None
    assert change.low > 0


# --- Differences ---


def test_differences_of_what_is_near_zero_are_in_its_unit() -> None:
    metric = Metric("forgetting", "Forgotten", "nats", difference="absolute", margin=0.02)
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 0.01, 40)
    alpha, beta = (
        make_record(name).model_copy(update={"quality": {"forgetting": Samples(samples=(at + noise).tolist())}})
        for name, at in (("alpha", 0.05), ("beta", -0.003))
    )
    change = improvement(*rows_of(alpha, beta), metric)
    assert change is not None
    assert change.value == pytest.approx(-0.053)
    relative = improvement(*rows_of(alpha, beta), replace(metric, difference="relative"))
    assert relative is not None
    assert relative.value < -9


def test_heavy_tails_are_compared_system_by_system_on_the_log_scale() -> None:
    metric = Metric("iterations", "Iterations", bounds=(0.0, math.inf), difference="log ratio")
    rng = np.random.default_rng(3)
    systems = np.exp(rng.normal(4, 0.3, 48))
    systems[7] *= 40  # one system takes as long as most of the others together
    others = systems * np.exp(rng.normal(math.log(2), 0.1, 48))
    others[7] = systems[7] * 12
    alpha, beta = (
        make_record(name).model_copy(update={"quality": {"iterations": Samples(samples=values.tolist())}})
        for name, values in (("alpha", systems), ("beta", others))
    )
    change = improvement(*rows_of(alpha, beta), metric)
    assert change is not None
    assert change.value == pytest.approx(1 - math.exp(np.log(systems / others).mean()))
    assert 0.4 < change.low < change.high < 0.65
    plain = improvement(*rows_of(alpha, beta), replace(metric, difference="relative", bounds=(-math.inf, math.inf)))
    assert plain is not None
    assert plain.high > 1  # more than all of it


# --- Claims ---


def test_a_claim_that_a_share_is_kept_is_held_to_that_share() -> None:
    claim = Claim("Keeps 90 %.", "Abstract", "accuracy", versus="dense", relation="keeps", share=0.9)
    dense = make_record("dense", right=[1.0] * 900 + [0.0] * 100)
    kept = make_record("alpha", right=[1.0] * 860 + [0.0] * 140)
    lost = make_record("alpha", right=[1.0] * 700 + [0.0] * 300)
    assert outcomes(claim, dense, kept) == [("holds", "")]
    assert outcomes(replace(claim, relation="same", share=None), dense, kept) == [("does not hold", "")]
    assert outcomes(claim, dense, lost) == [("does not hold", "")]
    less = replace(claim, metric="perplexity")  # at most 1 / 0.9 of the other's
    assert outcomes(less, scoring("dense", 50), scoring("alpha", 53)) == [("holds", "")]
    assert outcomes(less, scoring("dense", 50), scoring("alpha", 58)) == [("does not hold", "")]


def test_a_share_goes_with_its_relation() -> None:
    with pytest.raises(ValueError, match="takes a share"):
        Claim("x", "y", "accuracy", relation="keeps")
    with pytest.raises(ValueError, match="takes a share"):
        Claim("x", "y", "accuracy", share=0.9)
    with pytest.raises(ValueError, match="in words"):
        Claim("x", "y", "accuracy", out_of_reach=" ")


def test_what_is_out_of_reach_is_not_tested_here() -> None:
    claim = Claim("Better.", "Abstract", "perplexity", versus="dense", out_of_reach="It trains on 60 billion tokens.")
    records = [scoring("dense", 50), scoring("alpha", 90)]
    assert outcomes(claim, *records) == [("cannot be tested here", "It trains on 60 billion tokens.")]
    full = [record.model_copy(update={"scale": "full"}) for record in records]
    assert outcomes(claim, *full) == [("does not hold", "")]


def test_a_claim_among_guesses_cannot_be_tested() -> None:
    claim = Claim("Better.", "Abstract", "perplexity", versus="random")
    said = ("cannot be tested here", "both are no better than guessing")
    assert outcomes(claim, scoring("random", 9e9), scoring("alpha", 9e7)) == [said]
    assert outcomes(claim, scoring("random", 9e9), scoring("alpha", 90)) == [("holds", "")]
    unigram = scoring("unigram", 20_000)
    assert outcomes(claim, scoring("random", 9e5), scoring("alpha", 9e4), unigram) == [said]


def test_no_worse_is_by_the_margin_of_the_metric() -> None:
    claim = Claim("Keeps it.", "Abstract", "perplexity", versus="dense", relation="same")
    records = [scoring("dense", 50, noise=0.001), scoring("alpha", 52, noise=0.001)]
    assert outcomes(claim, *records) == [("does not hold", "")]
    wide = replace(PERPLEXITY, margin=0.1)
    info = make_info(problems={name: make_problem(name, (wide, ACCURACY)) for name in ("main", "other")})
    (check,) = check_claims(card(claim), make_rows(records), info)
    assert check.outcome == "holds"


# --- Throughput ---


def throughput(ours: Sequence[int], ours_ended: int, theirs: Sequence[int], theirs_ended: int | None) -> Throughput:
    def tried(sizes: Sequence[int], ended: int | None) -> list[Batch]:
        last = [] if ended is None else [Batch(batch=ended, reason="not begun: the time was up")]
        return [*(Batch(batch=size, per_second=float(size)) for size in sizes), *last]

    return Throughput(
        unit="token", memory_limit_bytes=1e9, candidate_batch=ours[-1], baseline_batch=theirs[-1],
        candidate=[1.0] * 9, baseline=[1.2] * 9, candidate_tried=tried(ours, ours_ended),
        baseline_tried=tried(theirs, theirs_ended),
    )  # fmt: skip


def test_a_search_that_the_clock_ended_is_set_beside_none_that_went_on() -> None:
    even, cut = throughput([1, 2, 4], 8, [1, 2, 4], 8), throughput([1, 2, 4], 8, [1, 2], 4)
    assert uneven(even) == ""
    assert "the baseline had no time left to try a batch of 4; the other side tried 4" in uneven(cut)
    assert "the candidate had no time left" in uneven(throughput([1, 2], 4, [1, 2, 4, 8], None))
    record = make_record()
    assert "answer.throughput.ratio" in costs(record.model_copy(update={"throughput": {"answer": even}}))
    assert "answer.throughput.ratio" not in costs(record.model_copy(update={"throughput": {"answer": cut}}))


@pytest.mark.parametrize(("ratio", "right"), [(1.02, True), (0.754, False), (1.2, False)])
def test_a_baseline_that_is_not_as_fast_as_itself_is_an_alarm(ratio: float, right: bool) -> None:
    base = np.random.default_rng(0).uniform(0.99, 1.01, 20)
    times = {"candidate": (ratio * base).tolist(), "baseline": base.tolist()}
    workloads = {"decode": WorkloadInfo("decode", "Decoding", phases={"tpot": "Time"})}
    info = make_info(problems={"main": make_problem("main", workloads=workloads), "other": make_problem("other")})
    (dense,), (other,) = rows_of(make_record("dense", **times)), rows_of(make_record("alpha", **times))
    assert (alarms(dense, info) == []) is right
    assert right or "decode.tpot.ratio of the baseline beside itself" in alarms(dense, info)[0]
    assert alarms(other, info) == []


def test_random_controls_get_ten_seeds_of_which_the_suites_few_are_timed() -> None:
    registry = open_registry(plugins=False)
    wanted = Selection("lm-compression", methods=["random-block-drop", "dense"], points=["size-75"], scale="embedded")
    jobs = make_plan(registry, wanted)
    assert [job.seed for job in jobs if job.method == "random-block-drop"] == list(range(10))
    assert [job.seed for job in jobs if job.method == "random-block-drop" and job.timed] == [0]
    assert [job.seed for job in jobs if job.method == "dense"] in ([], [0])
    with pytest.raises(ValueError, match="stochastic"):
        Card("alpha", "Alpha", "Author", control=True, seeds=10)
