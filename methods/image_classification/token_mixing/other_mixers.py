"""Control: iFormer with other shares of high and low frequencies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bench.contract import Built, Card, Method
from methods.image_classification.token_mixing._small import too_large, train_widest
from methods.image_classification.token_mixing.iformer import RAMP
from suites.image_classification.task import ClassificationTask

RAMPS = {"all-attention": (1.0,) * 6, "all-convolution": (0.0,) * 6, "reversed-ramp": RAMP[::-1]}


@dataclass(frozen=True)
class OtherMixers(Method[ClassificationTask]):
    """iFormer's blocks and training, each as wide as the limits leave.

    mixer: `all-attention` has all channels in the pooled attention, `all-convolution` all in the depth-wise convolution
    and the max-pool; `reversed-ramp` has both, with fewer for low frequencies the deeper the block. width, rate,
    weight_decay: as of iFormer.
    """

    card = Card(
        slug="other-mixers",
        title="Other mixers",
        paper="Control: iFormer's blocks with attention alone, with convolution alone, with its ramp reversed",
        control=True,
        stochastic=True,
        notes="The reversed ramp keeps at least one head of three for high frequencies.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "all-attention": {"mixer": "all-attention"},
        "all-convolution": {"mixer": "all-convolution"},
        "reversed-ramp": {"mixer": "reversed-ramp"},
    }

    mixer: Literal["all-attention", "all-convolution", "reversed-ramp"] = "all-attention"
    width: int = 28
    rate: float = 2e-3
    weight_decay: float = 0.05

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task, RAMPS[self.mixer])

    def build(self, task: ClassificationTask) -> Built:
        return train_widest(task, RAMPS[self.mixer], self.width, self.rate, self.weight_decay)
