"""Signals by formula: every modulation at every ratio of signal to noise equally often."""

import hashlib
from pathlib import Path

import numpy as np

from bench.contract import only_the_judge
from bench.contract.cache import made_once
from suites.signal_recognition.channel import received
from suites.signal_recognition.modulations import MODULATIONS
from suites.signal_recognition.signals import LENGTH, Labelled, Split

VERSION = 1
"""Raised when the signals are others."""

SNR = (-8, -4, 0, 4, 8, 12, 16)
"""dB."""

COUNTS: dict[str, dict[Split, int]] = {
    "generated-tiny": {"train": 4, "test": 2},
    "generated": {"train": 650, "test": 80},
}
"""Set -> signals of each modulation at each ratio."""

_SEEDS: dict[Split, int] = {"train": 0x51611, "test": 0x51612}


def signals(name: str, split: Split) -> Labelled:
    """In a random order. The test split is the judge's alone."""
    if split == "test":
        only_the_judge("the test signals of signal-recognition")
    count = COUNTS[name][split]
    parts = [VERSION, list(MODULATIONS), SNR, LENGTH, count, split, np.__version__]
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
    kept = made_once("data", f"signals-{name}-{split}-{digest}", lambda folder: _write(folder, draw(count, split)))
    with np.load(kept / "signals.npz") as file:
        return Labelled(file["signals"], file["labels"], file["snr"])


def draw(count: int, split: Split) -> Labelled:
    """`count` signals of each modulation at each ratio, by the seed of the split."""
    snr = np.repeat(np.array(SNR), count)
    drawn = []
    for number, modulate in enumerate(MODULATIONS.values()):
        rng = np.random.default_rng([_SEEDS[split], number])
        drawn.append(received(modulate(len(snr), LENGTH, rng), snr, rng))
    labels = np.repeat(np.arange(len(MODULATIONS)), len(snr))
    order = np.random.default_rng([_SEEDS[split], len(MODULATIONS)]).permutation(len(labels))
    return Labelled(np.concatenate(drawn)[order], labels[order], np.tile(snr, len(MODULATIONS))[order])


def _write(folder: Path, found: Labelled) -> None:
    np.savez(folder / "signals.npz", signals=found.signals, labels=found.labels, snr=found.snr)
