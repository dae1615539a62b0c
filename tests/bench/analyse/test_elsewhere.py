"""What a board takes from other hardware, and what it never takes."""

from collections.abc import Sequence

from bench.analyse.elsewhere import agreeing, filled, scores_alone, seeds_elsewhere
from bench.analyse.rows import make_rows
from bench.analyse.summary import row_costs, row_quality
from bench.contract import Limits, OperatingPoint
from bench.record.schema import Record, Samples
from tests.bench.analyse.record_factory import make_info, make_record

CLOCKED = OperatingPoint("clocked", "As long as it lasts", "main", Limits(), clock=True)
INFO = make_info(points={**make_info().points, "clocked": CLOCKED})


def seeds(own: Sequence[Record], others: Sequence[Record]) -> list[tuple[str, int]]:
    found = seeds_elsewhere({record.point for record in own}, own, others, INFO)
    return [(record.method, record.seed) for record in found]


def test_seeds_that_were_not_run_here_are_taken_the_newest_of_each() -> None:
    own = [make_record(seed=0), make_record(seed=1, status="failed", reason="it broke")]
    old = make_record(seed=2, hardware="cpu-old", age=2)
    others = [old, *(make_record(seed=seed, hardware="cpu-other") for seed in range(4)), make_record("beta")]
    assert seeds(own, others) == [("alpha", 2), ("alpha", 3), ("beta", 0)]  # a seed that failed here stays failed
    assert old not in seeds_elsewhere({"half"}, own, others, INFO)


def test_nothing_is_taken_that_did_not_succeed_or_for_what_is_not_run_here() -> None:
    own = [make_record(), make_record(point="clocked")]
    others = [
        make_record(seed=1, status="over_budget", reason="too large"),
        make_record(seed=2, point="all"),
        make_record(seed=4, point="clocked"),  # how much is done in a time hangs on the machine
    ]
    assert seeds(own, others) == []


def test_scores_and_exact_figures_cross_and_nothing_that_is_measured_on_the_machine() -> None:
    times = {"candidate": [0.1] * 20, "baseline": [0.2] * 20}
    theirs = make_record(seed=1, hardware="cpu-other", losses=[1.0, 2.0], **times)
    theirs = theirs.model_copy(update={"quality": theirs.quality | {"seconds_to_level": Samples(samples=[4.0])}})
    (row,) = make_rows([make_record(losses=[1.0, 2.0]), scores_alone(theirs, "cpu-test", INFO)])
    assert row.scores("perplexity")[1] == (0, 1)
    assert [record.seed for record in row.elsewhere] == [1]
    assert set(row_quality(row)) == {"perplexity"}
    costs = row_costs(row)
    assert "decode.tpot" not in costs
    assert costs["stored_ratio"].n == 2
    assert costs["build.seconds"].n == costs["memory.peak"].n == 1


def test_a_row_that_only_others_have_run_has_its_pages_there() -> None:
    theirs = scores_alone(make_record(hardware="cpu-other"), "cpu-test", INFO)
    (whole,), (part,) = make_rows([theirs]), make_rows([theirs, make_record(seed=1)])
    assert (whole.board.hardware, whole.home.hardware) == ("cpu-test", "cpu-other")
    assert part.home == part.board


def test_what_is_lent_takes_the_place_of_its_seed() -> None:
    own = [make_record(seed=0, age=5), make_record(seed=1, age=5)]
    lent = [make_record(seed=1), make_record(seed=2)]
    assert filled(own, lent) == [own[0], *lent]


def test_other_hyper_parameters_than_those_of_the_row_are_left_out() -> None:
    own = [make_record(age=9, hyperparameters={"rate": 1}), make_record(seed=1, age=8, hyperparameters={"rate": 2})]
    lent = [make_record(seed=2, hyperparameters={"rate": 1}), make_record(seed=3, hyperparameters={"rate": 2})]
    beta = make_record("beta", hyperparameters={"rate": 7})
    assert agreeing(own, [*lent, beta]) == [lent[1], beta]
