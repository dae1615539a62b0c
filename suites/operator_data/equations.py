"""Darcy flow and Helmholtz on the unit square with random coefficient fields, by five-point finite volumes."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.fft import idctn
from scipy.sparse import csr_array

from suites.operator_data.system import CountedMatrix, System

Field = NDArray[np.float64]

ALPHA, TAU = 2.5, 7.0
"""Smoothness and inverse length scale of the Gaussian random field, as in the paper of skr (Wang et al., 2024)."""

WAVE_NUMBER = 5.0
"""Median of the Helmholtz wave number. The mean of k^2 is about 28 and stays between the first two Dirichlet
eigenvalues of the square (2 pi^2 and 5 pi^2): the systems are indefinite, with one negative eigenvalue, and none is
nearly singular by accident, as happens a few times in a sequence at 6."""


def gaussian_random_field(grid: int, rng: np.random.Generator) -> Field:
    """Sample of N(0, tau^(2 alpha - 2) (-laplace + tau^2)^-alpha) with zero mean, at the (grid, grid) cell centres.

    The Karhunen-Loeve sum over the cosine modes of the unit square with Neumann conditions; standard deviation is
    about 0.25 at any grid.
    """
    frequency = np.pi**2 * np.arange(grid) ** 2
    deviation = TAU ** (ALPHA - 1) * (frequency[:, None] + frequency[None, :] + TAU**2) ** (-ALPHA / 2)
    deviation[0, 0] = 0.0
    # The orthonormal inverse transform gives modes of norm 1 in R^(grid x grid); in L2 of the square they have norm 1
    # after multiplication by the grid size.
    return np.asarray(idctn(grid * deviation * rng.standard_normal((grid, grid)), norm="ortho"))


def diffusion_matrix(permeability: Field) -> CountedMatrix:
    """Matrix of -div(K grad u), times the cell area, zero Dirichlet values on the boundary; (grid^2, grid^2).

    Unknowns are cell centres, row by row. The conductance of a face is the harmonic mean of its two cells; boundary
    faces are half a cell away from the unknown.
    """
    grid = permeability.shape[0]
    cell = np.arange(grid * grid).reshape(grid, grid)
    diagonal = np.zeros((grid, grid))
    rows, columns, values = [], [], []
    for near, far in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
        a, b = permeability[near], permeability[far]
        conductance = 2 * a * b / (a + b)
        diagonal[near] += conductance
        diagonal[far] += conductance
        rows += [cell[near].ravel(), cell[far].ravel()]
        columns += [cell[far].ravel(), cell[near].ravel()]
        values += [-conductance.ravel()] * 2
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        diagonal[edge] += 2 * permeability[edge]
    rows.append(cell.ravel())
    columns.append(cell.ravel())
    values.append(diagonal.ravel())
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return CountedMatrix(csr_array(entries, shape=(grid * grid, grid * grid)))


def darcy(grid: int, rng: np.random.Generator) -> System:
    """-div(K grad u) = 1 with K = exp(Gaussian random field)."""
    permeability = np.exp(gaussian_random_field(grid, rng))
    return System(diffusion_matrix(permeability), np.full(grid * grid, 1.0 / grid**2), permeability)


def helmholtz(grid: int, rng: np.random.Generator) -> System:
    """-laplace u - k(x)^2 u = 1 with k = WAVE_NUMBER * exp(Gaussian random field); symmetric, indefinite."""
    wave_number = WAVE_NUMBER * np.exp(gaussian_random_field(grid, rng))
    matrix = diffusion_matrix(np.ones((grid, grid)))
    matrix.setdiag(matrix.diagonal() - wave_number.ravel() ** 2 / grid**2)
    return System(matrix, np.full(grid * grid, 1.0 / grid**2), wave_number)


EQUATIONS: Mapping[str, Callable[[int, np.random.Generator], System]] = MappingProxyType(
    {"darcy": darcy, "helmholtz": helmholtz}
)


def draw_sequence(equation: str, grid: int, length: int, rng: np.random.Generator) -> list[System]:
    """`length` independent systems of the equation, in the order in which they were drawn."""
    return [EQUATIONS[equation](grid, rng) for _ in range(length)]
