"""Training mixes as methods get them: by number, under a meter of sample passes."""

from collections.abc import Sequence

from bench.contract import Supply
from suites.audio_separation.data import Mixes, Sources


class Mixtures(Supply):
    """Speakers of mixes, apart. Asked for by their numbers; each costs one, each time."""

    def __init__(self, mixes: Mixes, meter: str | None) -> None:
        self._mixes, self.meter = mixes, meter

    def __len__(self) -> int:
        return len(self._mixes)

    def take(self, wanted: Sequence[int]) -> Sources:
        """(n, 2, samples) float32."""
        if out := [number for number in wanted if not 0 <= number < len(self)]:
            raise ValueError(f"mix {out[0]} of {len(self)}")
        return self._mixes.take(wanted).sources
