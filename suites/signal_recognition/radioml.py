"""RadioML 2016.10a (O'Shea and West, 2016), from a file that the user has: a pickle of arrays, made by Python 2.

A pickle may run any program when it is loaded. This one is read by an unpickler that knows how arrays are put together
and refuses everything else.
"""

import codecs
import hashlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import MissingAsset, only_the_judge
from bench.contract.cache import made_once
from suites.signal_recognition.modulations import CLASSES
from suites.signal_recognition.signals import BadSignals, Labelled, Split, checked

NAME = "radioml-2016.10a"
VARIABLE = "EFFBENCH_RADIOML"
VERSION = 1
"""Raised when the split is another."""
TEST = 0.25
"""Part of the signals of each modulation at each ratio that is asked."""

_RECONSTRUCT = np.empty(0).__reduce__()[0]
_KNOWN: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("_codecs", "encode"): codecs.encode,
}
"""All that a pickle of arrays calls."""


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise BadSignals(f"the file asks for {module}.{name}, which is no part of an array: it is not read")
        return _KNOWN[module, name]


def missing() -> str | None:
    """Why there is no file to read, with how to get it, or None."""
    where = os.environ.get(VARIABLE)
    if where is None:
        return (
            f"RadioML 2016.10a is not part of this: get RML2016.10a.tar.bz2 from deepsig.ai/datasets (CC BY-NC-SA 4.0),"
            f" unpack it, and set {VARIABLE} to the path of RML2016.10a_dict.pkl"
        )
    return None if Path(where).expanduser().is_file() else f"{VARIABLE} names {where}, and there is no such file"


def signals(split: Split) -> Labelled:
    """Raises MissingAsset, and BadSignals for a file that is something else. The test split is the judge's alone."""
    if split == "test":
        only_the_judge("the test signals of RadioML")
    if problem := missing():
        raise MissingAsset(problem)
    path = Path(os.environ[VARIABLE]).expanduser()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    kept = made_once("data", f"radioml-{VERSION}-{digest}", lambda folder: _write(folder, read(path)))
    with np.load(kept / f"{split}.npz") as found:
        return Labelled(found["signals"], found["labels"], found["snr"])


def read(path: Path) -> Mapping[tuple[str, int], NDArray[np.float32]]:
    """(modulation, dB) -> signals (n, 2, 128). Raises BadSignals."""
    try:
        with path.open("rb") as file:
            found = _ArraysOnly(file, encoding="latin1").load()
    except BadSignals as error:
        raise BadSignals(f"{path}: {error}") from None
    except Exception as error:  # a file that is no pickle fails in any way
        raise BadSignals(f"{path} is no pickle of RadioML: {type(error).__name__}: {error}") from error
    if not isinstance(found, dict) or not found:
        raise BadSignals(f"{path} holds a {type(found).__name__}; RadioML is a table of (modulation, SNR) to signals")
    for key, value in found.items():
        if not (isinstance(key, tuple) and len(key) == 2 and key[0] in CLASSES and isinstance(key[1], int)):
            raise BadSignals(f"{path} holds an entry {key!r}; there are (modulation, SNR) of {', '.join(CLASSES)}")
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            raise BadSignals(f"{path}: {key} is no array of real numbers")
    if absent := set(CLASSES) - {modulation for modulation, _ in found}:
        raise BadSignals(f"{path} has no signals of {', '.join(sorted(absent))}")
    return {key: checked(value, f"{path}, {key}") for key, value in found.items()}


def split_up(table: Mapping[tuple[str, int], NDArray[np.float32]]) -> dict[Split, Labelled]:
    """A random part of each entry is for the test; both splits stand in a random order."""
    rng = np.random.default_rng(VERSION)
    parts: dict[Split, list[Labelled]] = {"train": [], "test": []}
    for (modulation, snr), found in sorted(table.items()):
        order, count = rng.permutation(len(found)), round(TEST * len(found))
        for split, chosen in (("test", order[:count]), ("train", order[count:])):
            labels = np.full(len(chosen), CLASSES.index(modulation), dtype=np.int64)
            parts[split].append(Labelled(found[chosen], labels, np.full(len(chosen), snr, dtype=np.int64)))  # type: ignore[index]
    return {split: _shuffled(each, rng) for split, each in parts.items()}


def _shuffled(parts: list[Labelled], rng: np.random.Generator) -> Labelled:
    whole = Labelled(
        *(np.concatenate([getattr(each, name) for each in parts]) for name in ("signals", "labels", "snr"))
    )
    return whole.part(rng.permutation(len(whole)).tolist())


def _write(folder: Path, table: Mapping[tuple[str, int], NDArray[np.float32]]) -> None:
    for split, found in split_up(table).items():
        np.savez(folder / f"{split}.npz", signals=found.signals, labels=found.labels, snr=found.snr)
