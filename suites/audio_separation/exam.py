"""What the judge asks, with the answers, and how it is asked."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import Score
from suites.audio_separation.data import LEVELS, Mixed, Sources
from suites.audio_separation.scores import best_of_both, improvement
from suites.audio_separation.served import ServedSeparator

RULE = "an answer hangs on other mixes"
TOLERANCE = 0.02
"""Root mean square difference of two answers over that of the mix: rounding in another batch."""

_ASKED_AGAIN = 6
_PARTS = 8
"""Places of a mix from which on another one goes on, to find how far ahead a separator listens."""


@dataclass(kw_only=True)
class Exam:
    """asked: mixes of voices that nobody has trained on. held: validation mixes, which a training step of `batch` is
    timed on. losses: of the model that was examined, over each batch of them. answers: its signals, once it has been
    asked; rng draws those that are asked again. rate: samples a second. block: seconds of a short mix that is timed."""

    asked: Mixed
    held: Sources
    batch: int
    rate: int
    block: float
    rng: np.random.Generator
    losses: list[float] = field(default_factory=list)
    answers: NDArray[np.float32] | None = None

    @property
    def seconds(self) -> float:
        """Of a mix."""
        return self.asked.sources.shape[-1] / self.rate


def mixes_of(sources: Sources) -> NDArray[np.float32]:
    """(n, samples)."""
    return sources.sum(1, dtype=np.float32)


def ask(served: ServedSeparator, sources: Sources) -> NDArray[np.float32]:
    """(n, 2, samples). Raises ValueError for signals that are no finite numbers."""
    found = np.asarray(served.speakers(mixes_of(sources)), dtype=np.float32)
    if not np.isfinite(found).all():
        raise ValueError("it gave signals that are no finite numbers")
    return found


def scored(answers: NDArray[np.float32], asked: Mixed) -> list[Score]:
    """By mix, both speakers alike: over all, by level, of voices that are alike, and without taking off what the mix
    itself has."""
    estimates, targets = (torch.from_numpy(np.asarray(each)).double() for each in (answers, asked.sources))
    better = improvement(estimates, targets).mean(-1).numpy()
    levels = np.clip(np.rint(asked.levels), 0, LEVELS - 1)
    found = {"si_sdri": better, "si_sdr": best_of_both(estimates, targets).mean(-1).numpy()}
    found |= {f"si_sdri_{level}db": better[levels == level] for level in range(LEVELS)}
    found["si_sdri_alike"] = better[asked.alike]
    return [Score(name, samples.tolist()) for name, samples in found.items() if len(samples)]


def losses_over(answers: NDArray[np.float32], held: Sources, batch: int) -> list[float]:
    """The training's loss, of each whole batch of the validation mixes."""
    found = -best_of_both(torch.from_numpy(answers), torch.from_numpy(held)).mean(-1).numpy()
    return [float(value) for value in found[: len(found) // batch * batch].reshape(-1, batch).mean(1)]


def look_ahead(served: ServedSeparator, exam: Exam) -> list[float]:
    """Seconds, one for each of some places of a mix: how long before that place an answer begins to change when from
    there on another mix is heard. That is what a listener waits for however fast the machine is; a separator that
    hears the whole mix first waits for all of it."""
    mixes = mixes_of(exam.asked.sources[:2])
    first, other = mixes
    length = len(first)
    places = [length * (part + 1) // (_PARTS + 1) for part in range(_PARTS)]
    spliced = np.stack([first, *(np.concatenate([first[:place], other[place:]]) for place in places)])
    plain, *changed = np.asarray(served.speakers(spliced), dtype=np.float64)
    least, whole = 1e-4 * float(np.abs(first).max()), length // (4 * _PARTS)
    starts = []
    for place, answer in zip(places, changed, strict=True):
        moved = np.abs(answer - plain).max(0) > least
        starts.append(min(int(moved.argmax()), place) if moved.any() else place)
    if max(starts) < whole:  # every answer changes from its very start: the whole mix is waited for
        return [exam.seconds] * _PARTS
    return [(place - start) / exam.rate for place, start in zip(places, starts, strict=True)]


def doubt(served: ServedSeparator, exam: Exam) -> tuple[str, str] | None:
    """What is said of a mix must not hang on those that stand beside it. The rule that was broken and how, or None."""
    assert exam.answers is not None
    chosen = exam.rng.choice(len(exam.asked), min(_ASKED_AGAIN, len(exam.asked)), replace=False)
    again = ask(served, exam.asked.sources[chosen])
    apart = difference(again, exam.answers[chosen], mixes_of(exam.asked.sources[chosen]))
    if apart <= TOLERANCE:
        return None
    return RULE, f"asked again beside others, its signals differ by {apart:.2g} of the mix"


def difference(one: NDArray[np.float32], other: NDArray[np.float32], mixes: NDArray[np.float32]) -> float:
    """Root mean square of the difference of two answers over that of the mixes. Infinite where one is no number."""
    apart = float(np.sqrt(np.square(one - other, dtype=np.float64).mean() / np.square(mixes, dtype=np.float64).mean()))
    return apart if np.isfinite(apart) else float("inf")
