"""What is timed of an image classifier: images one by one, at the best batch, and a step of its training.

Images are random numbers: candidate and baseline then do the same work, and nobody has seen them before. What a timed
step answers must be what the model says of the same images when it is asked plainly.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Step, Workload
from suites._vision.data import Labelled

TOLERANCE = 0.02
"""Root mean square difference of the centred logits, over their standard deviation: rounding in another batch, also of
eight-bit kernels, which choose the scale of their input by it."""

LOSS_TOLERANCE = 0.3
"""How far the loss of the model that a timed training is of may be from the examined one's over the same images: nats,
and as a share of it. What is shipped may be an average of the weights, or folded."""


def classify(size: int, batch: int = 1) -> Workload:
    """`batch` images of `size` pixels at once. Phase: latency."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        images = rng.integers(256, size=(batch, 3, size, size), dtype=np.uint8)
        yield Step("latency", "classify", (images,), units=batch, graph=True, check=_as_scored(images))

    return Workload("classify", trial, unit="image", min_trials=7, at_batch=lambda batch: classify(size, batch))


def training(held: Labelled, batch: int, losses: list[float]) -> Workload:
    """One more training step over a batch of images that may be seen; phase: step. losses: of the examined model over
    each whole batch of `held`, known by the time a step is checked."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        number = int(rng.integers(len(held) // batch))
        part = held.part(slice(number * batch, (number + 1) * batch))
        arrays = (part.images, part.labels)
        yield Step("step", "step", arrays, units=batch, check=_as_examined(arrays, losses, number))

    return Workload("train", trial, unit="image", of="rig", min_trials=7)


def _as_scored(images: NDArray[np.uint8]) -> Callable[[Any, Any], str | None]:
    """A check of logits: the first image's are compared with what the model says of it by itself."""

    def check(logits: Any, served: Any) -> str | None:
        apart = difference(np.asarray(logits)[:1], np.asarray(served.logits(images[:1])))
        return None if apart <= TOLERANCE else f"its logits differ from those of the scored model by {apart:.2g}"

    return check


def difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Root mean square difference of logits (n, classes), over the spread of the other's; what is the same for all
    classes changes no probability. Infinite where one is no number."""
    mine, theirs = (each.astype(np.float64) - each.mean(-1, keepdims=True) for each in (one, other))
    apart = float(np.sqrt(np.square(mine - theirs).mean()) / max(float(theirs.std()), 1e-6))
    return apart if np.isfinite(apart) else float("inf")


def _as_examined(
    arrays: tuple[NDArray[np.uint8], NDArray[np.int64]], losses: list[float], number: int
) -> Callable[[Any, Any], str | None]:
    """The model that a step trains must be the one that was examined."""

    def check(loss: Any, served: Any) -> str | None:
        if not np.isfinite(float(loss)):
            return f"its loss is {loss}"
        found, scored = float(served.validation(*arrays)), losses[number]
        if abs(found - scored) <= LOSS_TOLERANCE * (1 + scored):
            return None
        return f"the loss of what trains is {found:.3f}; the scored model's over the same images is {scored:.3f}"

    return check
