"""Trained models that methods start from. Made once by one recipe, in a few minutes, and kept by their content."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from bench.contract import MissingAsset
from bench.contract.cache import known, made_once
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites._vision import glyphs, models
from suites._vision.data import SHAPES, TOY, labelled
from suites._vision.data import missing as data_missing
from suites._vision.efficientnet import efficientnet_lite0
from suites._vision.efficientnet import missing as efficientnet_missing
from suites._vision.learning import ImageBatch, ImageLearner

EFFICIENTNET = "efficientnet-lite0"
VERSION = 1
"""Raised when the recipe gives another model."""

BATCH = 64
HELD = 0.05
"""Part of the training images that no base is trained on: the last of them, for whoever has to choose something."""


class Recipe:
    """data: a set of images. make: the model, of classes and size. passes, rate: of the training, AdamW."""

    def __init__(self, data: str, make: Callable[[int, int], nn.Module], passes: int, rate: float) -> None:
        self.data, self.make, self.passes, self.rate = data, make, passes, rate


def _resnet(width: int) -> Callable[[int, int], nn.Module]:
    return lambda classes, size: models.resnet(classes, width)


def _vit(width: int) -> Callable[[int, int], nn.Module]:
    return lambda classes, size: models.vit(classes, width, size)


RECIPES = {
    "toy-resnet": Recipe(TOY, _resnet(8), 2_000, 5e-3),
    "toy-vit": Recipe(TOY, _vit(16), 2_000, 5e-3),
    "toy-resnet-24": Recipe(TOY, _resnet(24), 2_000, 5e-3),
    "toy-vit-48": Recipe(TOY, _vit(48), 2_000, 5e-3),
    "glyph-resnet": Recipe("glyph-36", _resnet(24), 120_000, 3e-3),
    "glyph-vit": Recipe("glyph-36", _vit(64), 160_000, 2e-3),
    "cifar-resnet": Recipe("cifar10", _resnet(48), 1_500_000, 3e-3),
    "cifar-vit": Recipe("cifar10", _vit(128), 1_500_000, 1e-3),
}


def missing(name: str) -> str | None:
    """What is not there to have it, with what to do about it, or None. Downloads nothing."""
    if name == EFFICIENTNET:
        return efficientnet_missing()
    if name not in RECIPES:
        return f"there is no base {name!r}, only {', '.join([*RECIPES, EFFICIENTNET])}"
    if known("models", _kept_as(name)) is not None:
        return None
    return data_missing(RECIPES[name].data)


def prepare(name: str) -> None:
    """Train it, unless it is there whole. Raises MissingAsset."""
    if problem := missing(name):
        raise MissingAsset(problem)
    if name != EFFICIENTNET:
        made_once("models", _kept_as(name), lambda folder: _train(folder, RECIPES[name]))


def base(name: str, device: str = "cpu") -> nn.Module:
    """In eval mode, a new one at each call: float32 images (n, 3, size, size) in -1..1, logits. Raises MissingAsset
    where it has not been prepared."""
    if name == EFFICIENTNET:
        return efficientnet_lite0().to(device)
    folder = known("models", _kept_as(name))
    if folder is None:
        raise MissingAsset(f"the base {name} has not been trained here, or its file is not what it was: prepare it")
    model = _untrained(RECIPES[name])
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.to(device).eval()


def trained_on(name: str) -> int:
    """Of the training images, the first so many."""
    return round(SHAPES[RECIPES[name].data].count * (1 - HELD))


def _untrained(recipe: Recipe) -> nn.Module:
    shape = SHAPES[recipe.data]
    return recipe.make(shape.classes, shape.size)


def _train(folder: Path, recipe: Recipe) -> None:
    """Plain training. On one thread, as with more the sums are others."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = _untrained(recipe)
            data = labelled(recipe.data, "train").part(slice(round(SHAPES[recipe.data].count * (1 - HELD))))
            images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
            rng = np.random.default_rng(0)
            epochs = [rng.permutation(len(labels)) for _ in range(-(-recipe.passes // len(labels)))]
            steps = recipe.passes // BATCH
            order = np.concatenate(epochs)[: steps * BATCH].reshape(steps, BATCH)
            batches = [ImageBatch(images[numbers], labels[numbers]) for numbers in order]
            train(Trainer(ImageLearner(model)), batches, recipe.rate)
    finally:
        torch.set_num_threads(threads)
    save_file({name: each.contiguous() for name, each in model.state_dict().items()}, folder / "model.safetensors")


def _kept_as(name: str) -> str:
    recipe = RECIPES[name]
    parts = [VERSION, recipe.data, glyphs.VERSION, recipe.passes, recipe.rate, BATCH, HELD]
    parts += [(key, tuple(each.shape)) for key, each in _untrained(recipe).state_dict().items()]
    return f"{name}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"
