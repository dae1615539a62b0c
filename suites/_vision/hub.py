"""Full scale: CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), from the hub or its cache."""

import os

import numpy as np
from numpy.typing import NDArray

from bench.contract import MissingAsset
from suites._vision.photographs import Split

_NAMES = {"cifar10": ("uoft-cs/cifar10", "label"), "cifar100": ("uoft-cs/cifar100", "fine_label")}


def missing(name: str) -> str | None:
    """Told only where the hub may not be asked and its cache has nothing; else `cifar` finds out."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    repository, _ = _NAMES[name]
    if not constants.HF_HUB_OFFLINE:
        return None
    try:
        cached = {found.repo_id for found in scan_cache_dir().repos}
    except CacheNotFound:
        cached = set()
    folder = os.path.join(constants.HF_HOME, "datasets", repository.replace("/", "___"))
    if repository in cached or os.path.isdir(folder):
        return None
    return (
        f"{repository} is not in the hub's cache, and HF_HUB_OFFLINE forbids to ask the hub; on a machine that reaches "
        f"it run: hf download --repo-type dataset {repository}, then copy the cache folder here"
    )


def cifar(name: str, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 3, 32, 32) and labels (n,). Raises MissingAsset."""
    from datasets import load_dataset

    repository, label = _NAMES[name]
    try:
        found = load_dataset(repository, split=split)
    except Exception as error:  # the HTTP library, and so its errors, changes between versions of the hub's client
        raise MissingAsset(f"{repository} can't be had from the hub ({type(error).__name__}): {error}") from error
    images = np.stack([np.asarray(image.convert("RGB")) for image in found["img"]])
    return images.transpose(0, 3, 1, 2).copy(), np.asarray(found[label], dtype=np.int64)
