"""An iFormer for images of 16 or 32 pixels, with any ramp."""

from collections.abc import Sequence

from bench.contract import Built
from methods.image_classification._training import fit, widest
from methods.image_classification.token_mixing._inception import InceptionTransformer, Stage
from suites._vision.learning import ImageLearner
from suites.image_classification.task import ClassificationTask

HEADS = (3, 6, 12)
"""Of each stage; of two blocks each."""
POOL = (2, 2, 1)
SCALE = (None, None, 1e-6)
NARROWEST = 9

Ramp = Sequence[float]
"""The share of heads for low frequencies, of each of the six blocks."""


def small_iformer(classes: int, size: int, width: int, ramp: Ramp) -> InceptionTransformer:
    """Three stages at a half, a quarter and an eighth of the size. A third of `width`, rounded down, is the size of a
    head; one or two more make the heads of the last stage, or the last two, larger by one, so that widths are fine."""
    stages = []
    for number, heads in enumerate(HEADS):
        low = tuple(_low(share, heads) for share in ramp[2 * number : 2 * number + 2])
        stages.append(Stage(heads * ((width + number) // 3), heads, low, POOL[number], SCALE[number]))
    return InceptionTransformer(classes, size, stages, stem=(2, 1))


def too_large(task: ClassificationTask, ramp: Ramp) -> str | None:
    """Why not even the narrowest meets the limits, or None."""
    return task.still_over(small_iformer(task.classes, task.size, NARROWEST, ramp), f"heads of {NARROWEST // 3}")


def train_widest(task: ClassificationTask, ramp: Ramp, width: int, rate: float, weight_decay: float) -> Built:
    """The widest that the limits leave, at most of `width`."""
    widths = range(NARROWEST, width + 1)
    found = widest(task, lambda each: small_iformer(task.classes, task.size, each, ramp), widths)
    assert found is not None
    return fit(task, lambda: ImageLearner(small_iformer(task.classes, task.size, found, ramp), weight_decay), rate)


def _low(share: float, heads: int) -> int:
    """At least one head of either kind, unless there shall be none."""
    if share in (0, 1):
        return round(share * heads)
    return min(max(round(share * heads), 1), heads - 1)
