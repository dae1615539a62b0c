"""Eleven modulations by formula: those of RadioML 2016.10a (O'Shea and West, 2016), as complex baseband.

Eight samples a symbol. Every function gives signals (n, length) complex128 at a random point of the symbol clock,
before any channel, of about unit power.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, hilbert

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]
Modulate = Callable[[int, int, np.random.Generator], Complex]

SAMPLES_PER_SYMBOL = 8
ROLL_OFF = 0.35
SPAN = 8
"""Symbols that a pulse reaches to either side of its own."""

MESSAGE_BAND = 0.03
"""Highest frequency of an analogue message, cycles a sample."""
AM_DEPTH = 0.7
FM_DEVIATION = 0.08
"""Cycles a sample, at a message of one standard deviation."""
CPFSK_INDEX, GFSK_INDEX, GFSK_BT = 0.5, 1.0, 0.35


def psk(order: int) -> Complex:
    """Points of the unit circle."""
    return np.exp(2j * np.pi * (np.arange(order) + 0.5) / order)


def qam(order: int) -> Complex:
    """A square grid of unit power."""
    side = 2 * np.arange(round(order**0.5)) - (order**0.5 - 1)
    grid = (side[:, None] + 1j * side).ravel()
    return grid / np.sqrt(np.mean(np.abs(grid) ** 2))


def pam(order: int) -> Complex:
    """Real levels of unit power."""
    levels = (2 * np.arange(order) - (order - 1)).astype(complex)
    return levels / np.sqrt(np.mean(np.abs(levels) ** 2))


def root_raised_cosine() -> Real:
    """Pulse of unit energy, sampled SAMPLES_PER_SYMBOL times a symbol. At the roll-off's singular points the limit
    stands; sampled eight times a symbol at 0.35 they are not met but at zero."""
    t = np.arange(-SPAN * SAMPLES_PER_SYMBOL, SPAN * SAMPLES_PER_SYMBOL + 1) / SAMPLES_PER_SYMBOL
    b = ROLL_OFF
    with np.errstate(divide="ignore", invalid="ignore"):
        pulse = (np.sin(np.pi * t * (1 - b)) + 4 * b * t * np.cos(np.pi * t * (1 + b))) / (
            np.pi * t * (1 - (4 * b * t) ** 2)
        )
    pulse[t == 0] = 1 - b + 4 * b / np.pi
    return pulse / np.sqrt(np.sum(pulse**2))


def linear(constellation: Complex, count: int, length: int, rng: np.random.Generator) -> Complex:
    """Symbols drawn alike, each with a root-raised-cosine pulse."""
    symbols = length // SAMPLES_PER_SYMBOL + 2 * SPAN + 2
    drawn = constellation[rng.integers(len(constellation), size=(count, symbols))]
    train = np.zeros((count, symbols * SAMPLES_PER_SYMBOL), dtype=complex)
    train[:, ::SAMPLES_PER_SYMBOL] = drawn
    shaped = fftconvolve(train, root_raised_cosine()[None] * np.sqrt(SAMPLES_PER_SYMBOL), mode="same", axes=1)
    return _cut(shaped, length, rng)


def frequency_shift(index: float, bt: float | None, count: int, length: int, rng: np.random.Generator) -> Complex:
    """Two frequencies with a phase that runs on. index: phase of a symbol in half turns. bt: bandwidth times symbol
    time of the Gaussian that smooths the frequency; None for none."""
    symbols = length // SAMPLES_PER_SYMBOL + 2 * SPAN + 2
    frequency = np.repeat(rng.choice([-1.0, 1.0], size=(count, symbols)), SAMPLES_PER_SYMBOL, axis=1)
    if bt is not None:
        t = np.arange(-2 * SAMPLES_PER_SYMBOL, 2 * SAMPLES_PER_SYMBOL + 1) / SAMPLES_PER_SYMBOL
        pulse = np.exp(-2 * (np.pi * bt * t) ** 2 / np.log(2))
        frequency = fftconvolve(frequency, (pulse / pulse.sum())[None], mode="same", axes=1)
    return _cut(np.exp(1j * np.pi * index * np.cumsum(frequency, axis=1) / SAMPLES_PER_SYMBOL), length, rng)


def message(count: int, length: int, rng: np.random.Generator) -> Real:
    """Noise of unit power below MESSAGE_BAND: what stands for speech."""
    padded = length + 256
    spectrum = np.fft.rfft(rng.standard_normal((count, padded)), axis=1)
    spectrum[:, np.fft.rfftfreq(padded) > MESSAGE_BAND] = 0
    spectrum[:, 0] = 0
    drawn = np.fft.irfft(spectrum, padded, axis=1)
    return drawn / drawn.std(axis=1, keepdims=True)


def am_dsb(count: int, length: int, rng: np.random.Generator) -> Complex:
    """Carrier and both sidebands."""
    return _cut((1 + AM_DEPTH * message(count, length, rng)).astype(complex), length, rng)


def am_ssb(count: int, length: int, rng: np.random.Generator) -> Complex:
    """The upper sideband, without a carrier."""
    return _cut(hilbert(message(count, length, rng), axis=1) / np.sqrt(2), length, rng)


def wbfm(count: int, length: int, rng: np.random.Generator) -> Complex:
    """Wide-band frequency modulation."""
    turns = np.cumsum(FM_DEVIATION * message(count, length, rng), axis=1)
    return _cut(np.exp(2j * np.pi * turns), length, rng)


MODULATIONS: dict[str, Modulate] = {
    "8PSK": partial(linear, psk(8)),
    "AM-DSB": am_dsb,
    "AM-SSB": am_ssb,
    "BPSK": partial(linear, psk(2)),
    "CPFSK": partial(frequency_shift, CPFSK_INDEX, None),
    "GFSK": partial(frequency_shift, GFSK_INDEX, GFSK_BT),
    "PAM4": partial(linear, pam(4)),
    "QAM16": partial(linear, qam(16)),
    "QAM64": partial(linear, qam(64)),
    "QPSK": partial(linear, psk(4)),
    "WBFM": wbfm,
}
"""By RadioML's names, in their order: the number of a class is its place."""

CLASSES = tuple(MODULATIONS)


def _cut(signals: Complex, length: int, rng: np.random.Generator) -> Complex:
    """From each a piece that starts anywhere within a symbol, behind where the filters settle."""
    settled = SPAN * SAMPLES_PER_SYMBOL
    starts = settled + rng.integers(SAMPLES_PER_SYMBOL, size=len(signals))
    return np.take_along_axis(signals, starts[:, None] + np.arange(length), axis=1)
