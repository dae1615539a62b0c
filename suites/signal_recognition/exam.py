"""What the judge asks, with the answers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from suites.signal_recognition.served import ServedRecogniser
from suites.signal_recognition.signals import Labelled

Logits = NDArray[np.float32]

RULE = "an answer hangs on other signals"
TOLERANCE = 0.02
"""Root mean square difference of the centred logits, over their standard deviation: rounding in another batch."""

_ASKED_AGAIN = 16
"""Signals, in an order and company of their own."""


@dataclass(kw_only=True)
class Exam:
    """asked: signals that nobody has trained on. held: the validation signals, which a training step of `batch` is
    timed on. losses: of the model that was examined, over each batch of them. answers: its logits of the asked signals,
    once it has been asked; rng draws those that are asked again.
    """

    asked: Labelled
    held: Labelled
    batch: int
    rng: np.random.Generator
    losses: list[float] = field(default_factory=list)
    answers: Logits | None = None


def ask(served: ServedRecogniser, asked: Labelled) -> Logits:
    """(n, classes). Raises ValueError for logits that are no finite numbers."""
    found = np.asarray(served.logits(asked.signals), dtype=np.float32)
    if not np.isfinite(found).all():
        raise ValueError("it gave logits that are no finite numbers")
    return found


def doubt(served: ServedRecogniser, exam: Exam) -> tuple[str, str] | None:
    """What is said of a signal must not hang on those that stand beside it: the rule that was broken and how."""
    assert exam.answers is not None
    chosen = exam.rng.choice(len(exam.asked), min(_ASKED_AGAIN, len(exam.asked)), replace=False)
    apart = difference(ask(served, exam.asked.part(chosen.tolist())), exam.answers[chosen])
    return None if apart <= TOLERANCE else (RULE, f"asked again beside others, its logits differ by {apart:.2g}")


def difference(one: Logits, other: Logits) -> float:
    """Root mean square difference of logits (n, classes), over the spread of the other's; what is the same for all
    classes changes no probability. Infinite where one is no number."""
    mine, theirs = (each.astype(np.float64) - each.mean(-1, keepdims=True) for each in (one, other))
    apart = float(np.sqrt(np.square(mine - theirs).mean()) / max(float(theirs.std()), 1e-6))
    return apart if np.isfinite(apart) else float("inf")
