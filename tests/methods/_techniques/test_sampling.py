import pytest
import torch

from methods._techniques.sampling import draw, inclusion


def test_probabilities_are_proportional_to_the_scores_and_sum_up_to_the_count() -> None:
    scores = torch.tensor([4.0, 1.0, 2.0, 3.0, 0.0, 2.0])
    chances = inclusion(scores, 3)
    assert torch.allclose(chances, scores.double() * 3 / 12)


def test_a_share_above_one_is_always_in_and_the_others_keep_their_proportions() -> None:
    chances = inclusion(torch.tensor([100.0, 1.0, 2.0, 1.0]), 2)
    assert chances.tolist() == pytest.approx([1.0, 0.25, 0.5, 0.25])


@pytest.mark.parametrize(
    ("scores", "count", "wanted"),
    [
        ([0.0, 0.0, 0.0, 0.0], 2, [0.5, 0.5, 0.5, 0.5]),
        ([5.0, 0.0, 0.0], 2, [1.0, 0.5, 0.5]),
        ([3.0, 1.0], 7, [1.0, 1.0]),
    ],
)
def test_where_scores_run_out_the_rest_is_shared_evenly(scores: list[float], count: int, wanted: list[float]) -> None:
    assert inclusion(torch.tensor(scores), count).tolist() == pytest.approx(wanted)


def test_draws_follow_their_probabilities_and_have_a_fixed_size() -> None:
    chances = inclusion(torch.tensor([0.3, 8.0, 1.0, 2.0, 0.5, 1.2, 3.0]), 3)
    generator = torch.Generator().manual_seed(0)
    draws = [draw(chances, generator) for _ in range(4000)]
    assert all(len(set(each)) == 3 for each in draws)
    found = torch.zeros(7, dtype=torch.float64)
    for each in draws:
        found[each] += 1 / len(draws)
    error = (chances * (1 - chances) / len(draws)).sqrt()
    assert ((found - chances).abs() <= 4 * error + 1e-12).all()
    assert all(1 in each for each in draws)  # its share of three, 8 of 16, is more than one


def test_blocks_are_drawn_together_in_more_than_one_way() -> None:
    chances = inclusion(torch.ones(6), 2)
    generator = torch.Generator().manual_seed(0)
    assert len({tuple(draw(chances, generator)) for _ in range(300)}) == 15
