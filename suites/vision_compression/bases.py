"""The bases under the names of suite.toml, all of plain layers."""

from typing import Any

from torch import nn

from suites._vision import bases
from suites._vision.efficientnet import CLASSES


def model(name: str, device: str) -> nn.Module:
    """In eval mode, a new one at each call. Raises MissingAsset where it has not been prepared."""
    found = bases.base(name)
    return (plain(found) if name == bases.EFFICIENTNET else found).to(device)


def classes_of(name: str) -> int:
    return CLASSES if name == bases.EFFICIENTNET else bases.SHAPES[bases.RECIPES[name].data].classes


def plain(found: nn.Module) -> nn.Module:
    """EfficientNet-lite0, in place: each convolution that pads by itself becomes nn.Conv2d, behind nn.ZeroPad2d where
    it pads, so that a method meets PyTorch's layers alone. In training nothing is dropped."""
    network: Any = found.network
    network._global_params = network._global_params._replace(drop_connect_rate=None)
    network._dropout.p = 0.0
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d):
            network.set_submodule(name, _plain(module))
    return found.eval()


def _plain(conv: Any) -> nn.Module:
    size, stride = conv.kernel_size[0], conv.stride[0]
    bare = nn.Conv2d(conv.in_channels, conv.out_channels, size, stride, groups=conv.groups, bias=False)
    bare.weight = conv.weight
    return nn.Sequential(conv.static_padding, bare) if isinstance(conv.static_padding, nn.ZeroPad2d) else bare
