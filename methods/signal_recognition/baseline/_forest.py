"""A forest of scikit-learn as tensors: it is shipped without the library, and its numbers can be counted."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Forest(nn.Module):
    """Trees side by side, padded to the largest. features (n, features) float32 give probabilities (n, classes).

    feature, threshold: of each inner node (trees, nodes). below: the two nodes after it (trees, nodes, 2), where a
    number under zero is a leaf. leaves: the classes' shares in each leaf (trees, leaves, classes). depth: the longest
    way to one.
    """

    feature: Tensor
    threshold: Tensor
    below: Tensor
    leaves: Tensor

    def __init__(self, feature: Tensor, threshold: Tensor, below: Tensor, leaves: Tensor, depth: int) -> None:
        super().__init__()
        self.register_buffer("feature", feature)
        self.register_buffer("threshold", threshold)
        self.register_buffer("below", below)
        self.register_buffer("leaves", leaves)
        self.depth = depth

    def forward(self, features: Tensor) -> Tensor:
        trees = torch.arange(len(self.feature), device=features.device)
        at = torch.zeros(len(features), len(trees), dtype=torch.int64, device=features.device)
        for _ in range(self.depth):
            here = at.clamp(min=0)
            value = features.gather(1, self.feature[trees, here].long())
            right = (value > self.threshold[trees, here]).long()
            at = torch.where(at >= 0, self.below[trees, here, right].long(), at)
        return self.leaves[trees, -1 - at].mean(1)


def as_tensors(trees: list[Any]) -> Forest:
    """Of fitted classification trees of scikit-learn, each with one split or more; answers as their mean does."""
    found = [_of_tree(each.tree_) for each in trees]
    parts = [_stacked([tree[number] for tree in found]) for number in range(4)]
    return Forest(*parts, depth=max(each.tree_.max_depth for each in trees))


def _of_tree(tree: Any) -> tuple[np.ndarray, ...]:
    """Inner nodes and leaves are numbered apart: leaf k stands as -1 - k."""
    leaf = tree.children_left < 0
    number = np.where(leaf, -np.cumsum(leaf), np.cumsum(~leaf) - 1)
    inner = np.flatnonzero(~leaf)
    children = np.stack([number[tree.children_left[inner]], number[tree.children_right[inner]]], axis=1)
    shares = tree.value[leaf, 0]
    return (
        tree.feature[inner].astype(np.int16),
        _rounded_down(tree.threshold[inner]),
        children.astype(np.int16),
        (shares / shares.sum(-1, keepdims=True)).astype(np.float32),
    )


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """float32 that any float32 is above exactly where it is above the float64."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


def _stacked(parts: list[np.ndarray]) -> Tensor:
    longest = max(map(len, parts))
    return torch.from_numpy(
        np.stack([np.pad(part, [(0, longest - len(part))] + [(0, 0)] * (part.ndim - 1)) for part in parts])
    )
