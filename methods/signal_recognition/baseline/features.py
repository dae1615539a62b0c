"""Control: cumulants and other features of experts, and a random forest (Swami and Sadler, 2000; Breiman, 2001)."""

from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from methods.signal_recognition.baseline._cumulants import features
from methods.signal_recognition.baseline._forest import Forest, as_tensors
from suites.signal_recognition.learning import SignalBatch
from suites.signal_recognition.task import SignalTask

LEAST = 4
"""Leaves of a tree."""


class FeatureClassifier(nn.Module):
    """Logarithms of what the forest says of a signal's features; a class that no tree gives keeps a little."""

    def __init__(self, forest: Forest) -> None:
        super().__init__()
        self.forest = forest

    def forward(self, signals: Tensor) -> Tensor:
        return (self.forest(features(signals)) + 1e-3).log()


@dataclass(frozen=True)
class Features(Method[SignalTask]):
    """A random forest by scikit-learn on 24 features: cumulants to the sixth order, amplitude, instantaneous frequency,
    spectral lines. Each training signal is looked at once, as far as the passes reach.

    trees: how many. Their leaves are as many as the limits leave, `leaves` at the most.
    """

    card = Card(
        slug="features",
        title="Features and trees",
        paper="Control: Swami and Sadler, 2000. Hierarchical digital modulation classification using cumulants",
        url="https://doi.org/10.1109/26.837045",
        control=True,
        stochastic=True,
        speed_realised=False,
        differences=("Their cumulants beside other common features, and a forest where they have thresholds.",),
        notes="Shipped as tensors, walked by PyTorch level by level: slower than compiled trees. No FLOPs of Fourier "
        "transforms are counted.",
    )

    trees: int = 16
    leaves: int = 1_000

    def supports(self, task: SignalTask) -> str | None:
        if find_spec("sklearn") is None:
            return "scikit-learn is not installed; run: pip install -c constraints.txt scikit-learn"
        return task.still_over(_like(self.trees, LEAST, task.classes), f"{self.trees} trees of {LEAST} leaves")

    def build(self, task: SignalTask) -> nn.Module:
        from sklearn.ensemble import RandomForestClassifier

        batches: list[SignalBatch] = list(task.training(passes=min(task.passes, len(task.labels))))
        inputs = torch.cat([features(batch.signals) for batch in batches]).cpu().numpy()
        labels = torch.cat([batch.labels for batch in batches]).cpu().numpy()
        forest = RandomForestClassifier(
            self.trees, max_leaf_nodes=self.most_leaves(task), min_samples_leaf=2, random_state=task.seed % 2**32
        )
        return FeatureClassifier(as_tensors(forest.fit(inputs, labels).estimators_)).to(task.device)

    def most_leaves(self, task: SignalTask) -> int:
        """Of a tree, so that the forest meets the limits."""
        low, high = LEAST, self.leaves + 1
        while high - low > 1:
            middle = (low + high) // 2
            fits = task.limits.met_by(task.weigh(_like(self.trees, middle, task.classes)))
            low, high = (middle, high) if fits else (low, middle)
        return low


def _like(trees: int, leaves: int, classes: int) -> FeatureClassifier:
    """A forest of that size that knows nothing."""
    nodes = torch.zeros(trees, leaves - 1, dtype=torch.int16)
    ends = torch.full((trees, leaves - 1, 2), -1, dtype=torch.int16)
    return FeatureClassifier(Forest(nodes, nodes.float(), ends, torch.ones(trees, leaves, classes), 1))
