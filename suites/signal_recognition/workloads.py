"""What is timed of a recogniser: signals one by one, at the best batch, and a step of its training.

Signals are noise: candidate and baseline then do the same work, and nobody has seen them before. What a timed step
answers must be what the model says of the same signals when it is asked plainly.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Step, Workload
from suites.signal_recognition.exam import TOLERANCE, difference
from suites.signal_recognition.signals import LENGTH, Labelled

LOSS_TOLERANCE = 0.3
"""How far the loss of the model that a timed training is of may be from the examined one's over the same signals: nats,
and as a share of it. What is shipped may be an average of the weights, or folded."""


def recognise(batch: int = 1) -> Workload:
    """`batch` signals at once. Phase: latency."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        signals = rng.standard_normal((batch, 2, LENGTH)).astype(np.float32) / np.float32(np.sqrt(2))
        yield Step("latency", "recognise", (signals,), units=batch, graph=True, check=_as_scored(signals))

    return Workload("recognise", trial, unit="signal", min_trials=7, at_batch=recognise)


def training(held: Labelled, batch: int, losses: list[float]) -> Workload:
    """One more training step over a batch of signals that may be seen; phase: step. losses: of the examined model over
    each whole batch of `held`, known by the time a step is checked."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        number = int(rng.integers(len(held) // batch))
        part = held.part(slice(number * batch, (number + 1) * batch))
        arrays = (part.signals, part.labels)
        yield Step("step", "step", arrays, units=batch, check=_as_examined(arrays, losses, number))

    return Workload("train", trial, unit="signal", of="rig", min_trials=7)


def _as_scored(signals: NDArray[np.float32]) -> Callable[[Any, Any], str | None]:
    """A check of logits: the first signal's are compared with what the model says of it by itself."""

    def check(logits: Any, served: Any) -> str | None:
        apart = difference(np.asarray(logits)[:1], np.asarray(served.logits(signals[:1])))
        return None if apart <= TOLERANCE else f"its logits differ from those of the scored model by {apart:.2g}"

    return check


def _as_examined(
    arrays: tuple[NDArray[np.float32], NDArray[np.int64]], losses: list[float], number: int
) -> Callable[[Any, Any], str | None]:
    """The model that a step trains must be the one that was examined."""

    def check(loss: Any, served: Any) -> str | None:
        if not np.isfinite(float(loss)):
            return f"its loss is {loss}"
        found, scored = float(served.validation(*arrays)), losses[number]
        if abs(found - scored) <= LOSS_TOLERANCE * (1 + scored):
            return None
        return f"the loss of what trains is {found:.3f}; the scored model's over the same signals is {scored:.3f}"

    return check
