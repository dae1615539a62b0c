"""Trained networks that methods start from. Made once by one recipe and kept by what they come from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.contract import MissingAsset
from bench.contract.cache import known, made_once
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.ctr_prediction import data
from suites.ctr_prediction.batches import Batches, batch_of, numbers_of
from suites.ctr_prediction.fields import Field
from suites.ctr_prediction.learning import DECAY, RowLearner
from suites.ctr_prediction.log import Split
from suites.ctr_prediction.models import network

VERSION = 1
"""Raised when the recipe gives another network."""


@dataclass(frozen=True)
class Recipe:
    """width: of a vector. hidden: widths of the perceptron's layers. passes, batch, rate: of the training, AdamW."""

    width: int
    hidden: tuple[int, ...]
    passes: int
    batch: int
    rate: float


RECIPES = {
    "toy": Recipe(48, (32, 32, 32), 7_800, 64, 1e-2),
    "ml-100k": Recipe(32, (128, 128, 128), 216_000, 512, 1e-2),
    "criteo": Recipe(16, (400, 400, 400), 40_000_000, 4_096, 1e-3),
}
"""By log: the same for both networks."""


@dataclass(frozen=True)
class Base:
    """A network of a kind (deepfm, dcn), trained on the training rows of a log under a split."""

    kind: str
    log: str
    split: Split

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self.log]

    @property
    def kept_as(self) -> str:
        parts = [VERSION, data.VERSION, data.source(self.log), data.LOGS[self.log], self, self.recipe, DECAY]
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
        return f"{self.kind}-{self.log}-{self.split}-{digest}"

    def prepare(self) -> None:
        """Train it, unless it is there whole. Raises MissingAsset."""
        if known("models", self.kept_as) is None and (problem := data.missing(self.log)):
            raise MissingAsset(problem)
        made_once("models", self.kept_as, self._train)

    def fields(self) -> tuple[Field, ...]:
        """Raises MissingAsset where it has not been prepared."""
        return tuple(Field(**each) for each in json.loads((self._folder() / "fields.json").read_text()))

    def model(self, device: str) -> nn.Module:
        """In eval mode, a new one at each call: ids (n, slots) int64, logits (n,)."""
        model = self._untrained(self.fields())
        model.load_state_dict(torch.load(self._folder() / "model.pt", map_location="cpu", weights_only=True))
        return model.to(device).eval()

    def _untrained(self, fields: Sequence[Field]) -> nn.Module:
        return network(self.kind, fields, self.recipe.width, self.recipe.hidden)

    def _folder(self) -> Path:
        folder = known("models", self.kept_as)
        if folder is None:
            raise MissingAsset(f"the base {self.kept_as} has not been trained here, or its file is not what it was")
        return folder

    def _train(self, folder: Path) -> None:
        """Plain training. On one thread, as with more the sums are others."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                fields, rows = data.fields(self.log, self.split), data.rows(self.log, self.split, "training")
                model = self._untrained(fields)
                order = numbers_of(len(rows), self.recipe.passes, self.recipe.batch, np.random.default_rng(0))
                batches = Batches(lambda numbers: batch_of(rows.ids[numbers], rows.clicks[numbers]), order)
                train(Trainer(RowLearner(model)), batches, self.recipe.rate)
        finally:
            torch.set_num_threads(threads)
        torch.save(model.state_dict(), folder / "model.pt")
        (folder / "fields.json").write_text(json.dumps([asdict(each) for each in fields]))
