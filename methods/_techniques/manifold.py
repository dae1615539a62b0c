"""Clusters of samples by a diffusion map and non-negative spectral clustering."""

import torch
from torch import Tensor

ITERATIONS = 200
"""Of the factorisation; its labels settle in a few dozen on a thousand samples."""


def diffusion_map(embeddings: Tensor, dimensions: int) -> Tensor:
    """The leading eigenvectors, float64 (samples, dimensions), of the random walk on embeddings (samples, features).

    The affinity of two samples is exp(-d^2 / (2 s^2)), d their Euclidean distance and s the median of all distances
    between different samples. The walk's matrix D^-1 A is taken in its symmetric form D^-1/2 A D^-1/2, which has the
    same eigenvalues. The largest of these are the smallest of the Laplacian.
    """
    points = embeddings.double()
    distances = torch.cdist(points, points)
    scale = distances[~torch.eye(len(points), dtype=torch.bool)].median().clamp_min(torch.finfo(torch.float64).tiny)
    affinity = torch.exp(-distances.square() / (2 * scale.square()))
    degree = affinity.sum(1).rsqrt()
    return torch.linalg.eigh(degree[:, None] * affinity * degree[None]).eigenvectors[:, -dimensions:]


def clusters(embeddings: Tensor, count: int) -> Tensor:
    """A label from 0 to count - 1 for each sample: LongTensor (samples,); some labels may stay unused.

    The similarity |U U^T| of the samples on the diffusion map U is factorised into non-negative W H (multiplicative
    updates, Lee and Seung, 2001); a sample's label is its largest column of W. Starts from the similarities to `count`
    samples that are far from each other, so that nothing is random.
    """
    count = min(count, len(embeddings))
    coordinates = diffusion_map(embeddings, count)
    similarity = (coordinates @ coordinates.T).abs()
    left = similarity[:, _far_apart(coordinates, count)] + 1e-9
    right = left.T.clone()
    tiny = torch.finfo(torch.float64).tiny
    for _ in range(ITERATIONS):
        right *= (left.T @ similarity) / (left.T @ left @ right).clamp_min(tiny)
        left *= (similarity @ right.T) / (left @ right @ right.T).clamp_min(tiny)
    # W and H may trade a factor per column; the labels compare columns, so all rows of H get the same norm.
    return (left * right.norm(dim=1)).argmax(1)


def _far_apart(points: Tensor, count: int) -> list[int]:
    """Indices of `count` points: the longest one, then always the one that is furthest from those chosen."""
    chosen = [int(points.norm(dim=1).argmax())]
    while len(chosen) < count:
        chosen.append(int(torch.cdist(points, points[chosen]).amin(1).argmax()))
    return chosen
