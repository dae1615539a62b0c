"""What the judge asks, with the answers, and what it asks again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suites.ctr_prediction.fields import Field, Rows
from suites.ctr_prediction.served import ServedClicks

RULE = "an answer hangs on other rows"
TOLERANCE = 0.02
"""Root mean square difference of logits, over their standard deviation: rounding in another batch."""

_ASKED_AGAIN = 64
"""Rows, in an order and company of their own."""


@dataclass(kw_only=True)
class Exam:
    """asked: rows that nobody has trained on, of these fields. answers: the candidate's logits, once it has been asked;
    rng draws those that are asked again."""

    asked: Rows
    fields: Sequence[Field]
    rng: np.random.Generator
    answers: NDArray[np.float32] | None = None


def ask(served: ServedClicks, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """(n,). Raises ValueError for logits that are no finite numbers."""
    found = np.asarray(served.logits(ids), dtype=np.float32)
    if not np.isfinite(found).all():
        raise ValueError("it gave logits that are no finite numbers")
    return found


def doubt(served: ServedClicks, exam: Exam) -> tuple[str, str] | None:
    """What is said of a row must not hang on those that stand beside it. The rule that was broken and how, or None."""
    assert exam.answers is not None
    chosen = exam.rng.choice(len(exam.asked), min(_ASKED_AGAIN, len(exam.asked)), replace=False)
    again = ask(served, exam.asked.ids[chosen])
    apart = difference(again, exam.answers[chosen], float(exam.answers.std()))
    if apart <= TOLERANCE:
        return None
    return RULE, f"asked again beside others, its logits differ by {apart:.2g} of their spread"


def difference(one: NDArray[np.floating], other: NDArray[np.floating], spread: float) -> float:
    """Root mean square difference over `spread`, infinite where one is no number."""
    apart = float(np.sqrt(np.square(one.astype(np.float64) - other.astype(np.float64)).mean()) / max(spread, 1e-6))
    return apart if np.isfinite(apart) else float("inf")
