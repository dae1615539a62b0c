"""The teacher that students learn from: a ClST, trained once by one recipe and kept by what it comes from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.contract import MissingAsset, Supply
from bench.contract.cache import known, made_once
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.signal_recognition import radioml
from suites.signal_recognition.clst import ClST
from suites.signal_recognition.learning import SignalBatch, SignalLearner
from suites.signal_recognition.modulations import CLASSES
from suites.signal_recognition.signals import Labelled

VERSION = 1
"""Raised when the recipe gives another model."""

BATCH = 64


@dataclass(frozen=True)
class Recipe:
    """width: of the ClST. passes, rate: of its training, by AdamW."""

    width: int
    passes: int
    rate: float


RECIPES = {
    "generated-tiny": Recipe(12, 1_200, 6e-3),
    "generated": Recipe(24, 200_000, 4e-3),
    radioml.NAME: Recipe(48, 5_000_000, 2e-3),
}


class Weights(Supply):
    """Of the teacher of a set, by name, all at once. Nothing is counted."""

    def __init__(self, name: str, training: Labelled) -> None:
        self._name, self._training = name, training

    def __len__(self) -> int:
        return len(_untrained(RECIPES[self._name]).state_dict())

    def take(self, wanted: Any = None) -> Mapping[str, NDArray[Any]]:
        """Raises MissingAsset where the teacher has not been prepared."""
        folder = known("models", _kept_as(self._name, self._training))
        if folder is None:
            raise MissingAsset(f"the teacher of {self._name} has not been trained here, or was altered: prepare it")
        with np.load(folder / "model.npz") as file:
            return dict(file)


def as_model(weights: Mapping[str, NDArray[Any]]) -> nn.Module:
    """In eval mode and without gradients."""
    model = ClST(len(CLASSES), width=len(weights["stages.0.weight"]))
    model.load_state_dict({key: torch.from_numpy(np.array(each)) for key, each in weights.items()})
    return model.eval().requires_grad_(False)


def prepare(name: str, training: Labelled, device: str) -> None:
    """Train the teacher of a set on these signals, unless it is there whole."""
    made_once("models", _kept_as(name, training), lambda folder: _train(folder, RECIPES[name], training, device))


def _untrained(recipe: Recipe) -> nn.Module:
    return ClST(len(CLASSES), recipe.width)


def _train(folder: Path, recipe: Recipe, data: Labelled, device: str) -> None:
    """Plain training. On one thread, as with more the sums are others."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
            torch.manual_seed(0)
            model = _untrained(recipe).to(device)
            signals, labels = (torch.from_numpy(each).to(device) for each in (data.signals, data.labels))
            rng, steps = np.random.default_rng(0), recipe.passes // BATCH
            epochs = [rng.permutation(len(labels)) for _ in range(-(-recipe.passes // len(labels)))]
            order = np.concatenate(epochs)[: steps * BATCH].reshape(steps, BATCH)
            train(Trainer(SignalLearner(model)), _Batches(signals, labels, order), recipe.rate)
    finally:
        torch.set_num_threads(threads)
    np.savez(folder / "model.npz", **{key: each.cpu().numpy() for key, each in model.state_dict().items()})


@dataclass(frozen=True)
class _Batches(Sequence[SignalBatch]):
    """Of signals that are all there, by their numbers (steps, batch)."""

    signals: Tensor
    labels: Tensor
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        return SignalBatch(self.signals[self.numbers[index]], self.labels[self.numbers[index]])


def _kept_as(name: str, training: Labelled) -> str:
    recipe = RECIPES[name]
    parts = [VERSION, recipe, BATCH]
    parts += [(key, tuple(each.shape)) for key, each in _untrained(recipe).state_dict().items()]
    parts += [hashlib.sha256(np.ascontiguousarray(each)).hexdigest() for each in (training.signals, training.labels)]
    return f"clst-{name}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"
