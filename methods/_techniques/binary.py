"""Binary coding: weights as sums of +-scale, each scale a short sum of powers of two.

A group of weights w with b bits is written w_k ~ sum_i a_i s_ki with signs s_ki and scales a_1 >= a_2 >= ... >= 0.
Signs and scales are fitted by turns (as in Xu et al., 2018): given the scales, each weight goes to the nearest of the
2^b sums; given the signs, the scales solve a least squares problem, and are rounded to powers of two at once, so that
the next signs are chosen for what is really stored.

A scale is stored as a few signed powers of two, one int8 each: 0 for nothing, else its sign times (exponent + 64).
"""

from functools import cache

import torch
from torch import Tensor

_ZERO_EXPONENT = 64
EVEN_FROM = 4

_RIDGE = 1e-6
"""Of the number of weights, added to the normal equations: two bits may have the same signs throughout."""


def power_terms(scales: Tensor, terms: int) -> Tensor:
    """Codes, int8 (..., terms), of the nearest power of two, then of what is left, and so on.

    Each term leaves at most a third: |a - sum| <= |a| / 3^terms, for scales within 2^-60...2^60.
    """
    rest = scales.float()
    codes = []
    for _ in range(terms):
        mantissa, exponent = torch.frexp(rest.abs())
        exponent = (exponent - (mantissa < 0.75).int()).clamp_(1 - _ZERO_EXPONENT, _ZERO_EXPONENT - 1)
        code = rest.sign() * torch.where(mantissa == 0, 0, exponent + _ZERO_EXPONENT)
        codes.append(code.to(torch.int8))
        rest = rest - power_values(codes[-1])
    return torch.stack(codes, -1)


def power_values(codes: Tensor) -> Tensor:
    """The signed power of two, float32, that each code stands for."""
    return torch.ldexp(codes.sign().float(), exponents(codes))


def exponents(codes: Tensor) -> Tensor:
    """Exponents, int32; of no meaning where the code is 0."""
    return codes.abs().to(torch.int32) - _ZERO_EXPONENT


def scale_values(codes: Tensor) -> Tensor:
    """Scales, float32 (...), of codes (..., terms)."""
    return power_values(codes).sum(-1)


@torch.no_grad()
def greedy_scales(weights: Tensor, bits: int, terms: int) -> Tensor:
    """Codes (groups, bits, terms): bit after bit the mean absolute value of what is left of weights (groups, count).

    Each bit takes at least (1 - 9^-terms) * count * mean|rest|^2 off the squared error.
    """
    rest = weights.float()
    codes = []
    for _ in range(bits):
        code = power_terms(rest.abs().mean(1), terms)
        rest = rest - torch.where(rest < 0, -1.0, 1.0) * scale_values(code)[:, None]
        codes.append(code)
    return torch.stack(codes, 1)


@torch.no_grad()
def fitted_scales(weights: Tensor, bits: int, terms: int, rounds: int) -> Tensor:
    """Codes (groups, bits, terms) for weights (groups, count), by turns from the greedy start. From EVEN_FROM bits on
    also from evenly spaced sums over the whole range, which so many bits need; each group keeps the better."""
    greedy = refined_scales(weights, greedy_scales(weights, bits, terms), rounds)
    if bits < EVEN_FROM:
        return greedy
    halves = 2.0 ** -torch.arange(1, bits + 1, device=weights.device)
    even = power_terms(weights.float().abs().amax(1, keepdim=True) * halves, terms)
    even = refined_scales(weights, even, rounds)
    errors = [assign(weights.float(), scale_values(codes))[1] for codes in (greedy, even)]
    return torch.where((errors[1] < errors[0])[:, None, None], even, greedy)


@torch.no_grad()
def refined_scales(weights: Tensor, codes: Tensor, rounds: int) -> Tensor:
    """The best codes, for each group, of `rounds` rounds of fitting signs and scales by turns; never worse than given.

    weights: (groups, count); codes: (groups, bits, terms).
    """
    weights = weights.float()
    bits, terms = codes.shape[1:]
    signs = sign_table(bits, weights.device)
    products = (signs[:, :, None] * signs[:, None, :]).flatten(1)
    ridge = _RIDGE * weights.shape[1] * torch.eye(bits, device=weights.device)
    best, least = codes, None
    for index in range(rounds + 1):
        choice, error = assign(weights, scale_values(codes))
        if least is None:
            least = error
        else:
            better = error < least
            best = torch.where(better[:, None, None], codes, best)
            least = torch.where(better, error, least)
        if index < rounds:
            counts = weights.new_zeros(len(weights), 2**bits).scatter_add_(1, choice, torch.ones_like(weights))
            sums = weights.new_zeros(len(weights), 2**bits).scatter_add_(1, choice, weights)
            normal = (counts @ products).view(-1, bits, bits) + ridge
            fitted = torch.linalg.solve(normal, sums @ signs).abs().sort(1, descending=True).values
            codes = power_terms(fitted, terms)
    return best


def assign(weights: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest sum of each weight, as the number whose bit i says that sign i is +: int64 (groups, count).
    And the squared error of each group. scales: (groups, bits)."""
    sums, order = (scales @ sign_table(scales.shape[1], scales.device).T).sort(1)
    between = (sums[:, 1:] + sums[:, :-1]) / 2
    place = torch.searchsorted(between.contiguous(), weights.contiguous())
    return order.gather(1, place), (sums.gather(1, place) - weights).square_().sum(1)


def reconstructed(choice: Tensor, scales: Tensor) -> Tensor:
    """Weights (groups, count) of choices and scales (groups, bits)."""
    return (scales @ sign_table(scales.shape[1], scales.device).T).gather(1, choice)


@cache
def sign_table(bits: int, device: torch.device) -> Tensor:
    """+-1, float32 (2^bits, bits): row v, column i is + where bit i of v is set."""
    values = torch.arange(2**bits, device=device)[:, None]
    return (values >> torch.arange(bits, device=device) & 1).float() * 2 - 1
