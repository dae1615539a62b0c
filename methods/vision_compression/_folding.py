"""Batch norms that are folded into the convolutions before them: as they are in eval mode, they scale and shift."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def pairs(model: nn.Module) -> dict[str, str]:
    """Name of a convolution -> name of its batch norm. In all bases a norm is declared right after its convolution."""
    found, last = {}, ""
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            found[last] = name
        if isinstance(module, nn.Conv2d):
            last = name
    return found


def folded(model: nn.Module) -> nn.Module:
    """A copy in eval mode without batch norms."""
    found = copy.deepcopy(model).eval()
    for conv, norm in pairs(found).items():
        before, after = found.get_submodule(conv), found.get_submodule(norm)
        assert isinstance(before, nn.Conv2d)
        assert isinstance(after, nn.BatchNorm2d)
        found.set_submodule(conv, fuse_conv_bn_eval(before, after))
        found.set_submodule(norm, nn.Identity())
    return found
