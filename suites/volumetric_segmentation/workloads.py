"""What is timed of a segmenter: a volume, and a step of its training.

Volumes that are segmented are the validation volumes under fresh noise: nobody has seen them before. What a timed step
answers must be what the model says of the same volume when it is asked plainly.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Step, Workload
from suites.volumetric_segmentation.data import Volumes

TOLERANCE = 0.002
"""Share of the voxels that may get another label: where two are nearly equally likely, rounding decides."""

LOSS_TOLERANCE = 0.2
"""How far the loss of the model that a timed training is of may be from the examined one's over the same volume, and as
a share of it. What is shipped may be an average of the weights."""


def segmenting(held: Volumes, most: int = 1000) -> Workload:
    """One volume. Phase: latency."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        images = held.images[[int(rng.integers(len(held)))]]
        noisy = np.clip(images + rng.integers(-4, 5, images.shape), 0, 255).astype(np.uint8)
        yield Step("latency", "segment", (noisy,), graph=True, check=_as_scored(noisy))

    return Workload("segment", trial, unit="volume", min_trials=7, max_trials=most)


def training(held: Volumes, losses: list[float]) -> Workload:
    """One more training step over a volume that may be seen; phase: step. losses: of the examined model over each of
    `held`, known by the time a step is checked."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        number = int(rng.integers(len(held)))
        arrays = (held.images[[number]], held.labels[[number]])
        yield Step("step", "step", arrays, check=_as_examined(arrays, losses, number))

    return Workload("train", trial, unit="volume", of="rig", min_trials=7)


def apart(one: Any, other: Any) -> float:
    """Share of the voxels whose labels differ."""
    mine, theirs = np.asarray(one), np.asarray(other)
    return 1.0 if mine.shape != theirs.shape else float((mine != theirs).mean())


def _as_scored(images: NDArray[np.uint8]) -> Callable[[Any, Any], str | None]:
    def check(labels: Any, served: Any) -> str | None:
        scored = np.asarray(served.logits(images)).argmax(1)
        differing = apart(labels, scored)
        return None if differing <= TOLERANCE else f"{differing:.2%} of its labels are not those of the scored model"

    return check


def _as_examined(
    arrays: tuple[NDArray[np.uint8], NDArray[np.uint8]], losses: list[float], number: int
) -> Callable[[Any, Any], str | None]:
    """The model that a step trains must be the one that was examined."""

    def check(loss: Any, served: Any) -> str | None:
        if not np.isfinite(float(loss)):
            return f"its loss is {loss}"
        found, scored = float(served.validation(*arrays)), losses[number]
        if abs(found - scored) <= LOSS_TOLERANCE * (1 + scored):
            return None
        return f"the loss of what trains is {found:.3f}; the scored model's over the same volume is {scored:.3f}"

    return check
