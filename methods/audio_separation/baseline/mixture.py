"""Control that does nothing: both speakers are the mix."""

from dataclasses import dataclass

from torch import Tensor, nn

from bench.contract import Card, Method
from suites.audio_separation.task import SeparationTask


class Both(nn.Module):
    """The mix, half as loud, twice."""

    def forward(self, mixes: Tensor) -> Tensor:
        return (mixes / 2)[:, None].expand(-1, 2, -1)


@dataclass(frozen=True)
class Mixture(Method[SeparationTask]):
    """Gives the mix for either speaker: what an improvement is taken from."""

    card = Card(
        slug="mixture",
        title="The mix itself",
        paper="Control: the input",
        control=True,
        trivial=True,
    )

    def build(self, task: SeparationTask) -> nn.Module:
        return Both()
