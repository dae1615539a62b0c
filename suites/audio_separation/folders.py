"""Full scale: folders of recordings, as WSJ0-2mix and LibriMix are laid out, which the user has and names.

FOLDER/SPLIT/s1/NAME.wav and FOLDER/SPLIT/s2/NAME.wav, 8,000 samples a second, both as loud as they are in the mix.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract import MissingAsset, only_the_judge
from suites.audio_separation.voices import RATE, Split

VARIABLES = {"wsj0-2mix": "EFFBENCH_WSJ0_2MIX", "libri2mix": "EFFBENCH_LIBRI2MIX"}
SPLITS: dict[str, dict[Split, str]] = {
    "wsj0-2mix": {"train": "tr", "held": "cv", "test": "tt"},
    "libri2mix": {"train": "train-100", "held": "dev", "test": "test"},
}
_HOW = {
    "wsj0-2mix": "make it of WSJ0 (LDC93S6A, a licence of its own) by the scripts of Hershey et al., wav8k/min",
    "libri2mix": "make it of LibriSpeech (CC BY 4.0) by the scripts of LibriMix, wav8k/min",
}
CLIPPED, MOST_CLIPPED = 0.999, 0.01
"""A sample that is as loud as can be, and the part of a recording that may be so."""

Pair = tuple[Path, Path]


def missing(base: str) -> str | None:
    """What is not there, with what to do about it, or None."""
    if base not in VARIABLES:
        return f"there is no set of mixes {base!r}, only toy-voices, espeak-16, {', '.join(VARIABLES)}"
    named = os.environ.get(VARIABLES[base])
    if not named:
        return f"{VARIABLES[base]} does not name the folder of {base}; {_HOW[base]}, and set it to the folder"
    lacking = [
        each
        for split in SPLITS[base].values()
        for each in (Path(named, split, "s1"), Path(named, split, "s2"))
        if not each.is_dir()
    ]
    return f"there is no folder {lacking[0]}; {_HOW[base]}" if lacking else None


def pairs(base: str, split: Split) -> list[Pair]:
    """Both recordings of each mix, by name. Raises MissingAsset, ExamRead where a method asks for the test's."""
    if split == "test":
        only_the_judge(f"the recordings of the exam of {base}")
    if problem := missing(base):
        raise MissingAsset(problem)
    folder = Path(os.environ[VARIABLES[base]], SPLITS[base][split])
    firsts = sorted((folder / "s1").glob("*.wav"))
    lacking = [each.name for each in firsts if not (folder / "s2" / each.name).is_file()]
    if lacking or not firsts:
        raise MissingAsset(f"{folder}/s2 lacks {lacking[0]}" if lacking else f"there are no .wav files in {folder}/s1")
    return [(each, folder / "s2" / each.name) for each in firsts]


def read(pair: Pair, samples: int) -> NDArray[np.float32]:
    """(2, samples), the first so many of both, within -1..1 when they are added up. Raises ValueError for another
    rate, more channels, a recording that is shorter or clipped."""
    both = np.stack([_read(path, samples) for path in pair])
    return (both / max(1.0, float(np.abs(both.sum(0)).max()))).astype(np.float32)


def _read(path: Path, samples: int) -> NDArray[np.float64]:
    from scipy.io import wavfile

    rate, found = wavfile.read(path)
    if rate != RATE or found.ndim != 1:
        raise ValueError(f"{path} has {rate} samples a second and {found.ndim} dimension(s); it must be {RATE}, mono")
    if len(found) < samples:
        raise ValueError(f"{path} is too short: {len(found) / RATE:.2f} s, of which {samples / RATE:.2f} s are wanted")
    scale = np.iinfo(found.dtype).max if found.dtype.kind == "i" else 1.0
    whole = found[:samples].astype(np.float64) / scale
    if (clipped := float((np.abs(whole) >= CLIPPED).mean())) > MOST_CLIPPED:
        raise ValueError(f"{path} is clipped: {clipped:.0%} of its samples are as loud as can be")
    return whole
