"""Quality of logits (n, classes): one sample an image, but for calibration, which is of the whole set."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from bench.contract import Score, score_of_set

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]

BINS = 15
"""Of confidence; Guo et al., 2017."""


def top1(name: str, logits: Logits, labels: Labels) -> Score:
    """Share of images whose largest logit is that of their label."""
    return Score(name, _plain(logits.argmax(-1) == labels))


def nll(name: str, logits: Logits, labels: Labels) -> Score:
    """Negative log-likelihood of the label, nats."""
    found = -_log_probabilities(logits)[np.arange(len(labels)), labels]
    return Score(name, _plain(found))


def calibration_error(name: str, logits: Logits, labels: Labels) -> Score:
    """Expected calibration error: the mean distance of confidence and accuracy, over BINS bins of confidence."""
    confidence = np.exp(_log_probabilities(logits).max(-1))
    right = (logits.argmax(-1) == labels).astype(float)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)

    def error(chosen: NDArray[np.intp]) -> float:
        gaps = np.bincount(bins[chosen], confidence[chosen] - right[chosen], BINS)
        return float(np.abs(gaps).sum() / len(chosen))

    return score_of_set(name, error, len(labels))


def agreement(name: str, logits: Logits, dense: Logits) -> Score:
    """Share of images whose largest logit is that of the dense model's."""
    return Score(name, _plain(logits.argmax(-1) == dense.argmax(-1)))


def divergence(name: str, logits: Logits, dense: Logits) -> Score:
    """Kullback-Leibler divergence of the dense model's probabilities from these, nats."""
    mine, theirs = _log_probabilities(logits), _log_probabilities(dense)
    return Score(name, _plain((np.exp(theirs) * (theirs - mine)).sum(-1)))


def _log_probabilities(logits: Logits) -> NDArray[np.float64]:
    found: NDArray[np.float64] = log_softmax(np.asarray(logits, dtype=np.float64), axis=-1)
    return found


def _plain(samples: NDArray[np.generic]) -> Sequence[float]:
    return [float(each) for each in samples]
