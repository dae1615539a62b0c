"""Second moments of a layer's inputs, and the factor of their inverse that the optimal brain surgeon steps along.

For outputs y = W x the squared error of changed weights is tr(dW H dW^T) with H = E[x x^T]. GPTQ (Frantar et al.,
2022) and SparseGPT (Frantar and Alistarh, 2023) change one input column after the other, and let those that are still
free make up for it: all that they need of H is the Cholesky factor of its inverse.
"""

import torch
from torch import Tensor

_TRIES = 16
"""Tenfold dampings: beyond them H is the smaller part."""


class Hessian:
    """Weighted mean of x x^T over the tokens seen: `matrix` is float32 (size, size), on the device of what is seen."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._weight = 0.0

    @torch.no_grad()
    def see(self, inputs: Tensor, weights: Tensor | None = None) -> None:
        """inputs: (..., size). weights: (...) of the tokens, not negative; all 1 where there are none."""
        rows = inputs.detach().reshape(-1, inputs.shape[-1]).float()
        if weights is None:
            self._weight += len(rows)
        else:
            rows = rows * weights.reshape(-1, 1).to(rows).sqrt()
            self._weight += float(weights.sum())
        if self._sum is None:
            self._sum = rows.new_zeros(rows.shape[1], rows.shape[1])
        self._sum.addmm_(rows.T, rows)

    @property
    def matrix(self) -> Tensor:
        """(size, size). Raises ValueError if no token of any weight was seen."""
        if self._sum is None or self._weight == 0:
            raise ValueError("a Hessian needs at least one token")
        return self._sum / self._weight


def inverse_factor(hessian: Tensor, damping: float) -> Tensor:
    """Upper triangular U, float64 (size, size), with U^T U = (H + damping * mean(diag H) * I)^-1.

    Row j of U is what the step of column j needs: U[j, j]^2 is the inverse Hessian's [j, j] once the columns before j
    are fixed, and U[j, j:] / U[j, j] says how the columns from j on move for a unit of error in column j. An input that
    was always zero moves nothing. Where rounding leaves H indefinite, damping is raised tenfold until it is not.

    Raises FloatingPointError for a Hessian that is not finite, or that no damping makes positive definite.
    """
    broken = int((~hessian.isfinite()).sum())
    if broken:
        raise FloatingPointError(f"{broken} of {hessian.numel()} second moments of a layer's inputs are not finite")
    damped = hessian.double().clone()
    diagonal = damped.diagonal()
    dead = diagonal == 0
    mean = float(diagonal.mean()) or 1.0
    diagonal[dead] = mean
    for _ in range(_TRIES):
        diagonal += damping * mean
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            break
        damping = 10 * damping or 1e-8
    else:
        raise FloatingPointError("the second moments are not those of any inputs: no damping makes them positive")
    return torch.linalg.cholesky(torch.cholesky_inverse(factor), upper=True)


def output_error(change: Tensor, hessian: Tensor) -> Tensor:
    """Mean squared error of each output for a change of the weights (out, in): float64 (out,)."""
    change = change.double()
    return ((change @ hessian.double()) * change).sum(1)
