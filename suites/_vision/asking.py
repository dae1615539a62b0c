"""What the judge asks an image classifier, and what it asks again."""

import numpy as np

from suites._vision import workloads
from suites._vision.data import Labelled
from suites._vision.scores import Logits
from suites._vision.served import ServedClassifier

RULE = "an answer hangs on other images"

_ASKED_AGAIN = 16
"""Images, in an order and company of their own."""


def ask(served: ServedClassifier, asked: Labelled) -> Logits:
    """(n, classes). Raises ValueError for logits that are no finite numbers."""
    found = np.asarray(served.logits(asked.images), dtype=np.float32)
    if not np.isfinite(found).all():
        raise ValueError("it gave logits that are no finite numbers")
    return found


def doubt(
    served: ServedClassifier, asked: Labelled, answers: Logits, rng: np.random.Generator
) -> tuple[str, str] | None:
    """What is said of an image must not hang on those that stand beside it. answers: those of the exam. The rule that
    was broken and how, or None."""
    chosen = rng.choice(len(asked), min(_ASKED_AGAIN, len(asked)), replace=False)
    again = ask(served, asked.part(chosen.tolist()))
    apart = workloads.difference(again, answers[chosen])
    if apart <= workloads.TOLERANCE:
        return None
    return RULE, f"asked again beside others, its logits differ by {apart:.2g} of their spread"
