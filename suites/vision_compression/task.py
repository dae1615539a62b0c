"""What a method sees that compresses an image classifier."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor, nn

from suites._vision.learning import as_inputs
from suites._vision.task import ImageTask

CALIBRATION = "calibration_images"


@dataclass(kw_only=True)
class CompressionTask(ImageTask):
    """Make a trained classifier smaller or cheaper. A candidate is called as the base is: float32 images (n, 3, size,
    size) in -1..1, logits (n, classes). `limits` are on "stored_ratio" or "flops_ratio"; `weigh` tells both.

    load_model: called when the base is first asked for. labelled: whether training images have labels; where they
    have none, a label is -1, and the base's logits are what there is to learn from.
    """

    load_model: Callable[[], nn.Module] = field(repr=False)
    labelled: bool = True

    @cached_property
    def model(self) -> nn.Module:
        """The dense base, float32, in eval mode. Its layers are nn.Conv2d, nn.Linear and norms. Never change it: copy
        it."""
        return self.load_model()

    @property
    def calibration_left(self) -> int:
        """Calibration images that may still be drawn."""
        left, there = self.left(CALIBRATION), len(self.supplies["calibration"])
        return there if left is None else min(left, there)

    def calibration(self, count: int) -> Tensor:
        """The first `count` calibration images as a model gets them, or as many as are left; each counts each time."""
        numbers = list(range(min(count, self.calibration_left)))
        return as_inputs(self._batch(self.supplies["calibration"].take(numbers)).images)
