"""What experts look at in a signal: cumulants, amplitude, frequency, spectral lines."""

import torch
from torch import Tensor

SYMBOL = 8
"""Samples after which the phase is compared again: about a symbol."""
PEAKS = 8
"""The strongest parts of the spectrum, as shares of the power."""


def features(signals: Tensor) -> Tensor:
    """(n, 24) float32, of signals (n, 2, samples) at unit mean power. None hangs on the carrier's phase, and the
    magnitudes not on its offset."""
    z = torch.complex(signals[:, 0], signals[:, 1])
    amplitude, step = z.abs(), _turn(z, 1)
    c20, c21 = _moment(z, 2, 0), _moment(z, 1, 1)
    c40 = _moment(z, 4, 0) - 3 * c20**2
    c41 = _moment(z, 3, 1) - 3 * c20 * c21
    c42 = _moment(z, 2, 2) - c20.abs() ** 2 - 2 * c21**2
    found = [
        *(each.abs() for each in (c20, c40, c41, c42, _moment(z, 6, 0), _moment(z, 3, 3))),
        *(_line(z**power) for power in (2, 4)),
        amplitude.std(-1),
        (amplitude**4).mean(-1),
        step.mean(-1),
        step.std(-1),
        step.abs().mean(-1),
        step.abs().quantile(0.5, dim=-1),
        (step**4).mean(-1),
        _turn(z, SYMBOL).std(-1),
    ]
    spectrum = torch.fft.fft(z).abs() ** 2
    peaks = (spectrum / spectrum.sum(-1, keepdim=True)).topk(PEAKS).values
    return torch.cat([torch.stack(found, dim=-1), peaks], dim=-1)


def _moment(z: Tensor, plain: int, conjugated: int) -> Tensor:
    return (z**plain * z.conj() ** conjugated).mean(-1)


def _turn(z: Tensor, lag: int) -> Tensor:
    """By how much the phase moves in so many samples, radians."""
    return (z[:, lag:] * z[:, :-lag].conj()).angle()


def _line(z: Tensor) -> Tensor:
    """The strongest line of the spectrum, which a carrier that is off only moves."""
    return torch.fft.fft(z).abs().amax(-1) / z.shape[-1]
