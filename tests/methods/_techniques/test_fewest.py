"""The smallest count that meets a limit, found with few questions."""

from hypothesis import given
from hypothesis import strategies as st

from methods._techniques.fewest import fewest


@given(
    costs=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    bend=st.floats(0.3, 3.0),
    share=st.floats(0.0, 1.0),
)
def test_fewest_is_the_smallest_count_that_meets(costs: list[int], bend: float, share: float) -> None:
    """Also where the figure does not fall in a line with the cost."""

    def excess(count: int) -> float:
        return (sum(costs[count:]) / sum(costs)) ** bend - share

    assert fewest(costs, excess) == next(n for n in range(len(costs) + 1) if excess(n) <= 0)


def test_fewest_asks_seldom_where_the_figure_is_a_line() -> None:
    asked = []

    def excess(count: int) -> float:
        asked.append(count)
        return (5000 - count + (count > 0) * 3) / 5000 - 0.6237

    fewest([1] * 5000, excess)
    assert len(set(asked)) <= 8
