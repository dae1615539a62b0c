"""What is timed of a separator: a mix, a short block, and a step of its training.

Mixes are noise: candidate and baseline then do the same work, and nobody has heard them before. What a timed step
answers must be what the model says of the same mix when it is asked plainly.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Step, Workload
from suites.audio_separation.data import Sources
from suites.audio_separation.exam import TOLERANCE, difference

LOSS_TOLERANCE = 2.0
"""How far the loss of the model that a timed training is of may be from the examined one's over the same mixes, dB."""


def separate(name: str, seconds: float, rate: int, batch: int = 1) -> Workload:
    """`batch` mixes of so many seconds at once; units are seconds of audio. Phase: latency."""
    samples = round(seconds * rate)

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        mixes = rng.uniform(-0.5, 0.5, size=(batch, samples)).astype(np.float32)
        yield Step("latency", "separate", (mixes,), units=batch * seconds, graph=True, check=_as_scored(mixes))

    return Workload(
        name, trial, unit="second of audio", min_trials=7, at_batch=lambda batch: separate(name, seconds, rate, batch)
    )


def training(held: Sources, batch: int, losses: list[float]) -> Workload:
    """One more training step over a batch of mixes that may be heard; phase: step. losses: of the examined model over
    each whole batch of `held`, known by the time a step is checked."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        number = int(rng.integers(len(held) // batch))
        arrays = (held[number * batch : (number + 1) * batch],)
        yield Step("step", "step", arrays, units=batch, check=_as_examined(arrays, losses, number))

    return Workload("train", trial, unit="mix", of="rig", min_trials=7)


def _as_scored(mixes: NDArray[np.float32]) -> Callable[[Any, Any], str | None]:
    """A check of signals: the first mix's are compared with what the model says of it by itself."""

    def check(signals: Any, served: Any) -> str | None:
        apart = difference(np.asarray(signals)[:1], np.asarray(served.speakers(mixes[:1])), mixes[:1])
        return None if apart <= TOLERANCE else f"its signals differ from those of the scored model by {apart:.2g}"

    return check


def _as_examined(arrays: tuple[Sources], losses: list[float], number: int) -> Callable[[Any, Any], str | None]:
    """The model that a step trains must be the one that was examined."""

    def check(loss: Any, served: Any) -> str | None:
        if not np.isfinite(float(loss)):
            return f"its loss is {loss}"
        found, scored = float(served.validation(*arrays)), losses[number]
        if abs(found - scored) <= LOSS_TOLERANCE:
            return None
        return f"the loss of what trains is {found:.2f} dB; the scored model's over the same mixes is {scored:.2f}"

    return check
