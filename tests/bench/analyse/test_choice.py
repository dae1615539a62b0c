"""What is best within a limit."""

from collections.abc import Sequence

from bench.analyse.choice import Choice, Chooser
from bench.analyse.rows import Row, make_rows
from bench.registry.metrics import Metric
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import losses

PERPLEXITY = Metric("perplexity", "Perplexity", primary=True)


def rows_of(*rows: tuple[str, float, int], point: str = "half") -> list[Row]:
    """(name, how much worse than the hardness of the items, seed of its noise)"""
    return make_rows(make_record(name, losses=losses(worse, seed=seed), point=point) for name, worse, seed in rows)


def chosen(rows: Sequence[Row], costs: dict[str, float], controls: Sequence[str] = ()) -> list[Choice]:
    return Chooser(rows, PERPLEXITY, controls).choices({row: costs[row.name] for row in rows if row.name in costs})


def said(choices: Sequence[Choice]) -> list[tuple[float, list[str], str | None, int]]:
    return [(c.limit, [row.name for row in c.first], c.control and c.control.name, c.of) for c in choices]


def test_the_best_changes_only_where_the_limit_lets_something_better_in() -> None:
    rows = rows_of(("small", 0.9, 1), ("middle", 0.5, 2), ("poor", 0.7, 3), ("large", 0.1, 4))
    costs = {"small": 0.2, "middle": 0.5, "poor": 0.6, "large": 1.0}
    assert said(chosen(rows, costs)) == [
        (0.2, ["small"], None, 1),
        (0.5, ["middle"], None, 2),
        (1.0, ["large"], None, 4),
    ]


def test_what_the_interval_does_not_tell_apart_is_no_winner() -> None:
    rows = rows_of(("one", 0.1, 1), ("other", 0.1001, 2), ("worse", 0.6, 3))
    (choice,) = chosen(rows, {"one": 1.0, "other": 1.0, "worse": 1.0})
    assert {row.name for row in choice.first} == {"one", "other"}
    assert choice.of == 3


def test_of_a_configuration_at_two_points_the_better_counts_once() -> None:
    rows = [*rows_of(("one", 0.1, 1), ("rival", 0.3, 2)), *rows_of(("one", 0.8, 1), point="all")]
    costs = {row: {"half": 0.4, "all": 0.5}[row.board.point] for row in rows}
    choices = Chooser(rows, PERPLEXITY, ()).choices(costs)
    assert [(c.first[0].name, c.first[0].board.point) for c in choices] == [("one", "half")]


def test_the_control_is_the_best_of_those_within_the_limit() -> None:
    rows = rows_of(("method", 0.1, 1), ("cheap", 0.9, 2), ("dear", 0.3, 3))
    costs = {"method": 0.1, "cheap": 0.1, "dear": 0.5}
    assert said(chosen(rows, costs, ["cheap", "dear"])) == [
        (0.1, ["method"], "cheap", 2),
        (0.5, ["method"], "dear", 3),
    ]


def test_a_margin_is_that_of_the_pair() -> None:
    rows = rows_of(("one", 0.1, 1), ("other", 0.5, 2))
    one, other = rows
    chooser = Chooser(rows, PERPLEXITY, ())
    better, worse = chooser.improvement(one, other), chooser.improvement(other, one)
    assert better is not None
    assert worse is not None
    assert better.low > 0 > worse.high


def test_nothing_is_chosen_of_nothing_and_of_what_was_not_measured() -> None:
    rows = rows_of(("one", 0.1, 1))
    assert chosen(rows, {}) == []
    assert chosen(rows, {"one": float("nan")}) == []
