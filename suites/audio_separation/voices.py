"""Voices that read an encyclopedia: eSpeak NG, variant by variant, with texts that no other split has.

A voice is one long stream of speech without pauses, of which mixes are cut. Made once, kept by its content.
"""

import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract import MissingAsset, only_the_judge
from bench.contract.cache import made_once
from suites.audio_separation import speak
from suites.audio_separation.texts import Split, sentences

Stream = NDArray[np.int16]
Streams = dict[str, Stream]
"""Of each voice its speech: (samples,) int16, RATE a second."""

RATE = 8_000
VERSION = 1
"""Raised when the same sentences come to sound otherwise."""

HIGH, LOW = "high", "low"
"""Pitch: above and below some 150 Hz."""
TRAIN = {
    "f1": HIGH, "f4": HIGH, "Annie": HIGH, "linda": HIGH, "grandma": HIGH, "steph": HIGH,
    "m1": LOW, "m3": LOW, "m5": LOW, "m7": LOW, "Andy": LOW, "michel": LOW,
}  # fmt: skip
TEST = {"Andrea": HIGH, "shelby": HIGH, "m8": LOW, "pablo": LOW}
"""Variants whose samples are the same in each new process; not all of the library's are so."""
PITCH = TRAIN | TEST

SECONDS: dict[Split, float] = {"train": 150.0, "held": 15.0, "test": 150.0}
"""Of each voice."""

PACKAGES = {
    "espeakng_loader": "espeakng-loader==0.2.4",
    "gensim": "gensim==4.4.0",
    "mwparserfromhell": "mwparserfromhell",
}
_FRAME, _PAUSE, _QUIET = RATE // 50, 4, 0.05
"""Samples of a frame, frames of a pause that stays, and its power over the mean where it is one."""


def missing() -> str | None:
    """What is not installed, with the line that mends it, or None."""
    lacking = [requirement for name, requirement in PACKAGES.items() if importlib.util.find_spec(name) is None]
    if not lacking:
        return None
    names = ", ".join(each.partition("==")[0] for each in lacking)
    return f"{names} not installed; run: pip install --no-deps {' '.join(lacking)}"


@cache
def streams(split: Split) -> Streams:
    """Of the split's voices. Raises MissingAsset, ExamRead where a method asks for the test's."""
    if split == "test":
        only_the_judge("the voices of the exam")
    if problem := missing():
        raise MissingAsset(problem)
    folder = made_once("data", f"voices-{split}-{_digest(split)}", lambda each: _record(each, split))
    return {voice: np.load(folder / f"{voice}.npy") for voice in voices_of(split)}


def voices_of(split: Split) -> list[str]:
    return list(TEST if split == "test" else TRAIN)


def _digest(split: Split) -> str:
    parts = [VERSION, sentences(split), PACKAGES["espeakng_loader"], voices_of(split), SECONDS[split]]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _record(folder: Path, split: Split) -> None:
    order = np.random.default_rng(0).permutation(sentences(split))
    voices = voices_of(split)
    for number, voice in enumerate(voices):
        np.save(folder / f"{voice}.npy", read_aloud(voice, order[number :: len(voices)].tolist(), SECONDS[split]))


def read_aloud(voice: str, lines: list[str], seconds: float) -> Stream:
    """So much speech of the lines, in their order, without long pauses. Raises ValueError where they are too few."""
    from scipy.signal import resample_poly

    parts: list[Stream] = []
    left = round(seconds * RATE)
    for samples in _spoken(voice, lines):
        # 22,050 a second become 8,000.
        slower = resample_poly(samples.astype(np.float64), 160, 441)
        parts.append(without_pauses(np.clip(np.rint(slower), -32768, 32767).astype(np.int16))[:left])
        left -= len(parts[-1])
        if not left:
            return np.concatenate(parts)
    raise ValueError(f"{len(lines)} sentences are {left / RATE:.0f} s of speech less than {seconds:.0f} s")


def without_pauses(samples: Stream) -> Stream:
    """Frames of some 20 ms that are quiet go where the ones around them are quiet too."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    power = np.square(frames.astype(np.float64)).mean(1)
    loud = power > _QUIET**2 * power.mean()
    near = np.convolve(loud, np.ones(2 * _PAUSE + 1), mode="same") > 0.5 if len(loud) else loud
    return frames[near[: len(frames)]].reshape(-1)


def _spoken(voice: str, lines: list[str]) -> Iterator[Stream]:
    spec = importlib.util.find_spec("espeakng_loader")
    assert spec is not None
    assert spec.submodule_search_locations
    command = [sys.executable, speak.__file__, spec.submodule_search_locations[0], voice]
    said = subprocess.run(command, input="\n".join(lines).encode(), capture_output=True, check=True).stdout
    at = 0
    while at < len(said):
        start = said.index(b"\n", at) + 1
        at = start + 2 * int(said[at : start - 1])
        yield np.frombuffer(said[start:at], dtype=np.int16)
