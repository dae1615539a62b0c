"""Second moments of inputs and the factor of their inverse."""

import pytest
import torch

from methods._techniques.hessian import Hessian, inverse_factor, output_error


def inputs(tokens: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(tokens, size, generator=generator) @ torch.randn(size, size, generator=generator)


def test_it_is_the_mean_over_all_tokens_however_they_come() -> None:
    x = inputs(60, 5)
    whole, parts = Hessian(), Hessian()
    whole.see(x)
    parts.see(x[:20].view(4, 5, 5))
    parts.see(x[20:])
    torch.testing.assert_close(whole.matrix, x.T @ x / 60)
    torch.testing.assert_close(parts.matrix, whole.matrix)


def test_a_token_of_weight_two_counts_as_two_tokens_and_one_of_zero_as_none() -> None:
    x = inputs(3, 5)
    weighted, repeated = Hessian(), Hessian()
    weighted.see(x, torch.tensor([2.0, 0.0, 1.0]))
    repeated.see(x[[0, 0, 2]])
    torch.testing.assert_close(weighted.matrix, repeated.matrix)


def test_nothing_seen_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        _ = Hessian().matrix


def test_the_factor_is_upper_triangular_and_squares_to_the_damped_inverse() -> None:
    x = inputs(60, 6)
    hessian = x.T @ x / 60
    factor = inverse_factor(hessian, 0.1)
    assert torch.equal(factor, factor.triu())
    damped = hessian.double() + 0.1 * hessian.double().diagonal().mean() * torch.eye(6)
    torch.testing.assert_close(factor.T @ factor @ damped, torch.eye(6, dtype=torch.float64))


def test_the_factor_tells_how_the_free_columns_make_up_for_a_fixed_one() -> None:
    """Against least squares: with column 0 off by 1, the best change of the others."""
    x = inputs(60, 6)
    hessian = x.double().T @ x.double() / 60
    factor = inverse_factor(hessian, 0.0)
    best = torch.linalg.solve(hessian[1:, 1:], -hessian[1:, 0])
    torch.testing.assert_close(factor[0, 1:] / factor[0, 0], best)
    change = torch.cat([torch.ones(1, dtype=torch.float64), best])
    torch.testing.assert_close(output_error(change[None], hessian)[0], 1 / factor[0, 0] ** 2)


def test_an_input_that_is_always_zero_moves_nothing() -> None:
    x = inputs(60, 6)
    x[:, 2] = 0
    factor = inverse_factor(x.T @ x / 60, 0.01)
    others = [0, 1, 3, 4, 5]
    assert (factor[2, others] == 0).all()
    assert (factor[others, 2] == 0).all()


def test_fewer_tokens_than_inputs_are_enough() -> None:
    x = inputs(3, 6)
    assert inverse_factor(x.T @ x / 3, 0.01).isfinite().all()
    assert inverse_factor(x.T @ x / 3, 0.0).isfinite().all()


def test_output_errors_are_the_mean_squares_of_what_the_outputs_miss() -> None:
    x, change = inputs(60, 6), inputs(4, 6)
    hessian = Hessian()
    hessian.see(x)
    torch.testing.assert_close(
        output_error(change, hessian.matrix).float(), (x @ change.T).square().mean(0), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.timeout(20)
def test_what_is_not_finite_is_told_at_once(broken: float) -> None:
    with pytest.raises(FloatingPointError, match="1 of 1 second moments"):
        inverse_factor(torch.full((1, 1), broken), 0.01)
    with pytest.raises(FloatingPointError, match="1 of 9"):
        inverse_factor(torch.eye(3).index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(broken)), 0.01)


@pytest.mark.timeout(20)
def test_what_no_damping_mends_is_told_too() -> None:
    with pytest.raises(FloatingPointError, match="not those of any inputs"):
        inverse_factor(-torch.eye(3), 0.01)
