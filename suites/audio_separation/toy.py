"""The tiny scale: voices that need no package. A voice is a hum with overtones under one filter, in syllables, and
hisses between them."""

import numpy as np

from bench.contract import only_the_judge
from suites.audio_separation.voices import HIGH, LOW, RATE, Split, Stream, Streams

PITCHES: dict[Split, dict[str, float]] = {
    "train": {"low-1": 95.0, "low-2": 120.0, "high-1": 210.0, "high-2": 250.0},
    "held": {"low-1": 95.0, "low-2": 120.0, "high-1": 210.0, "high-2": 250.0},
    "test": {"low-3": 105.0, "low-4": 135.0, "high-3": 230.0},
}
PITCH = {voice: LOW if hertz < 150 else HIGH for voices in PITCHES.values() for voice, hertz in voices.items()}
SECONDS = 4.0

_SEEDS: dict[Split, int] = {"train": 1, "held": 2, "test": 3}


def streams(split: Split) -> Streams:
    """Of the split's voices. Raises ExamRead where a method asks for the test's."""
    if split == "test":
        only_the_judge("the toy voices of the exam")
    rng = np.random.default_rng(_SEEDS[split])
    return {voice: _voice(hertz, rng) for voice, hertz in PITCHES[split].items()}


def _voice(hertz: float, rng: np.random.Generator) -> Stream:
    syllables, left = [], round(SECONDS * RATE)
    while left > 0:
        length = min(left, round(rng.uniform(0.08, 0.2) * RATE))
        time = np.arange(length) / RATE
        if rng.random() < 0.2:
            sound = 0.3 * np.diff(rng.normal(size=length + 1))
        else:
            pitch, formant = hertz * rng.uniform(0.9, 1.1), rng.uniform(400, 1800)
            overtones = pitch * np.arange(1, int(3500 / pitch))
            sizes = 1 / (1 + np.square((overtones - formant) / 300)) + 0.3 * (overtones < 1.5 * pitch)
            sound = (sizes * np.sin(2 * np.pi * overtones * time[:, None])).sum(1)
        syllables.append(sound * np.sin(np.pi * np.arange(length) / length) ** 0.5)
        left -= length
    whole = np.concatenate(syllables)
    return np.rint(whole * 16_000 / np.abs(whole).max()).astype(np.int16)
