"""Mixes of two speakers, by number: drawn from streams of speech, or read from a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from suites.audio_separation import folders, toy, voices
from suites.audio_separation.voices import Split, Streams

RATE = voices.RATE
LEVELS = 6
"""Differences in dB that the exam has equally often: 0, 1, ... 5."""
TOY, SPOKEN = "toy-voices", "espeak-16"
PEAK = 0.9

Sources = NDArray[np.float32]
"""(n, 2, samples): the speakers as loud as they are in the mix, which is their sum and within -1..1."""


@dataclass(frozen=True)
class Mixed:
    """sources: as above. levels: (n,) by how many dB the louder speaker is louder. alike: (n,) whether both voices are
    high or both low; where nobody knows, False."""

    sources: Sources
    levels: NDArray[np.float64]
    alike: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.levels)


class Mixes(Protocol):
    """A set of mixes that are made, or read, when they are asked for; a number always gives the same."""

    def __len__(self) -> int: ...

    def take(self, numbers: Sequence[int]) -> Mixed: ...


class Drawn:
    """Mixes of two different voices of the streams. samples: of a mix. even: pairs of voices and whole levels in turn,
    as the exam has them; else all by chance, levels evenly between 0 and 5 dB. seed: another one gives others."""

    def __init__(
        self, streams: Streams, pitch: Mapping[str, str], count: int, samples: int, seed: int, even: bool = False
    ) -> None:
        self._streams, self._pitch, self._count, self._samples = streams, pitch, count, samples
        self._seed, self._even = seed, even
        self._pairs = [(a, b) for a in streams for b in streams if a != b]

    def __len__(self) -> int:
        return self._count

    def take(self, numbers: Sequence[int]) -> Mixed:
        found = [self._one(int(number)) for number in numbers]
        return Mixed(
            np.stack([sources for sources, _, _ in found]),
            np.array([level for _, level, _ in found]),
            np.array([alike for _, _, alike in found]),
        )

    def _one(self, number: int) -> tuple[NDArray[np.float32], float, bool]:
        rng = np.random.default_rng([self._seed, number])
        if self._even:
            pair = self._pairs[number // LEVELS % len(self._pairs)]
            level = float(number % LEVELS)
        else:
            pair = self._pairs[rng.integers(len(self._pairs))]
            level = rng.uniform(0, LEVELS - 1)
        sources = mixed_at(np.stack([self._cut(voice, rng) for voice in pair]), level)
        return sources, level, self._pitch[pair[0]] == self._pitch[pair[1]]

    def _cut(self, voice: str, rng: np.random.Generator) -> NDArray[np.float64]:
        stream = self._streams[voice]
        start = rng.integers(len(stream) - self._samples + 1)
        return stream[start : start + self._samples].astype(np.float64)


def mixed_at(speech: NDArray[np.float64], level: float) -> NDArray[np.float32]:
    """(2, samples): the first `level` dB above the second by their power, and the mix as loud as it may be."""
    sources = speech - speech.mean(-1, keepdims=True)
    sources /= np.sqrt(np.square(sources).mean(-1, keepdims=True)) + 1e-9
    sources[0] *= 10 ** (level / 20)
    return (sources * PEAK / np.abs(sources.sum(0)).max()).astype(np.float32)


def level_of(sources: Sources) -> NDArray[np.float64]:
    """(n,) by how many dB the louder speaker is louder."""
    power = np.square(sources.astype(np.float64)).sum(-1) + 1e-9
    return np.abs(10 * np.log10(power[:, 0] / power[:, 1]))


SEEDS: dict[Split, int] = {"train": 1, "held": 2, "test": 3}


def missing(base: str) -> str | None:
    """What is not there to read the set, with what to do about it, or None."""
    if base in (TOY, SPOKEN):
        return voices.missing() if base == SPOKEN else None
    return folders.missing(base)


def mixes(base: str, split: Split, count: int, seconds: float) -> Mixes:
    """count: of drawn ones; a folder has as many as it has, at most. Raises MissingAsset, and ValueError for a
    recording that is none."""
    samples = round(seconds * RATE)
    if base == TOY:
        return Drawn(toy.streams(split), toy.PITCH, count, samples, SEEDS[split], even=split == "test")
    if base == SPOKEN:
        return Drawn(voices.streams(split), voices.PITCH, count, samples, SEEDS[split], even=split == "test")
    return FromFolder(base, split, count, samples)


class FromFolder:
    """Mixes as a folder has them; each is cut to its first `samples`."""

    def __init__(self, base: str, split: Split, count: int, samples: int) -> None:
        self._pairs, self._samples = folders.pairs(base, split)[:count], samples

    def __len__(self) -> int:
        return len(self._pairs)

    def take(self, numbers: Sequence[int]) -> Mixed:
        read = np.stack([folders.read(self._pairs[int(number)], self._samples) for number in numbers])
        return Mixed(read, level_of(read), np.zeros(len(read), dtype=bool))
