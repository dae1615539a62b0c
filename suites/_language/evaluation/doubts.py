"""Are the exam's answers what they are said to be: probabilities, of what stands before alone?

A language model that is served says numbers, and could say any. Some of them, drawn at random, are asked again in a way
that does not tell what is wanted: the whole distribution after the beginning alone, without the token that is scored
and without all that follows. Its logarithm of the probability has to be the one that was said.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RULE = "an answer that is no probability, or depends on what comes later"

ASKED = 12
"""Forward passes that it costs."""

NOISE = {"float32": 1e-3}
"""Nats that a log-probability may be off by rounding, on the average; half precision 0.05."""

CHANCE = {"float32": 3e-3}
"""Nats of the average's standard error that count, three times; half precision 0.05. A candidate that rounds what flows
through it to few bits says the same again but for a few answers, where the last bit of a sum decides which way a number
is rounded. Measured with 8 bits on the toy model: 6 % of the answers move, by 0.01 nats in the median, 0.05 at most."""


@dataclass
class Kept:
    """Answers that were given, each with the same chance (reservoir sampling): context, continuation, log-probabilities
    of its tokens in nats."""

    rng: np.random.Generator
    most: int = ASKED
    seen: int = 0
    answers: list[tuple[Sequence[int], Sequence[int], Sequence[float]]] = field(default_factory=list)

    def keep(self, context: Sequence[int], continuation: Sequence[int], said: Sequence[float]) -> None:
        self.seen += 1
        place = self.seen - 1 if self.seen <= self.most else int(self.rng.integers(self.seen))
        if place < self.most:
            self.answers[place : place + 1] = [(context, continuation, said)]


def doubt(kept: Kept, served: Any, dtype: str) -> str | None:
    """What is wrong with the answers that were kept, or None. served: is asked `follows` of the beginnings."""
    gains = []
    window = served.window()
    for context, continuation, said in kept.answers:
        place = int(kept.rng.integers(len(continuation)))
        read = [*context, *continuation][-(window + 1) :]  # as in scoring.py, where both are longer than the window
        before = read[: len(read) - len(continuation) + place]
        logits = np.asarray(served.follows(before), dtype=np.float64)
        if not np.isfinite(logits).all():
            if math.isfinite(said[place]):
                return "its distribution over the next token is not finite, where its answers are"
            continue
        gains.append(said[place] - (logits[continuation[place]] - np.logaddexp.reduce(logits)))
    if len(gains) < 2:
        return None
    mean, error = float(np.mean(gains)), float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    if abs(mean) <= NOISE.get(dtype, 0.05) + 3 * min(error, CHANCE.get(dtype, 0.05)):
        return None
    return (
        f"the log-probabilities that it gave in the exam differ by {mean:+.3g} nats on the average from those of the "
        f"distribution that it gives without seeing what is wanted ({len(gains)} drawn)"
    )
