"""What lies between sender and receiver: an echo, a carrier that is off, noise."""

import numpy as np
from numpy.typing import NDArray

from suites.signal_recognition.modulations import Complex

OFFSET = 0.004
"""The most that the carrier is off, to either side, cycles a sample: half a turn in 128 samples."""
ECHO = 0.25
"""Scale of the echo's Rayleigh-distributed amplitude, beside a direct path of one."""
ECHO_DELAY = 6
"""The most, in samples; under a symbol."""


def received(signals: Complex, snr: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    """(n, 2, length) in-phase and quadrature, of signals (n, length) at snr (n,) in dB.

    The ratio is of mean powers over all samples, in the whole band that is sampled. A receiver with gain control hands
    on unit power: signal and noise together.
    """
    count, length = signals.shape
    faded = echoed(signals, rng)
    turning = rng.uniform(-OFFSET, OFFSET, (count, 1)) * np.arange(length) + rng.uniform(size=(count, 1))
    clean = at_unit_power(faded * np.exp(2j * np.pi * turning))
    noise = rng.standard_normal((count, length)) + 1j * rng.standard_normal((count, length))
    heard = at_unit_power(clean + noise * np.sqrt(10 ** (-snr[:, None] / 10) / 2))
    return np.stack([heard.real, heard.imag], axis=1).astype(np.float32)


def echoed(signals: Complex, rng: np.random.Generator) -> Complex:
    """With one echo each: two-tap Rician fading that stands still over a signal."""
    count = len(signals)
    amplitude = rng.rayleigh(ECHO, count) * np.exp(2j * np.pi * rng.uniform(size=count))
    delays = rng.integers(1, ECHO_DELAY + 1, count)
    late = np.zeros_like(signals)
    for delay in range(1, ECHO_DELAY + 1):
        late[delays == delay, delay:] = signals[delays == delay, :-delay]
    return signals + amplitude[:, None] * late


def at_unit_power(signals: Complex) -> Complex:
    """Mean squared magnitude of each is 1."""
    return signals / np.sqrt(np.mean(np.abs(signals) ** 2, axis=1, keepdims=True))
