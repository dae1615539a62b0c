"""Norms of tokens that are a scale and a shift once they are trained, and so vanish in the linear layer behind them."""

from copy import deepcopy
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from suites._vision.models import vit


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch norm of tokens (n, tokens, width), over images and tokens."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.flatten(0, 1)).view_as(inputs)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Scale and shift, each (width,): all that it does in eval mode."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight / (self.running_var + self.eps).sqrt()
        return scale, self.bias - scale * self.running_mean


class RepBatchNorm(TokenBatchNorm):
    """RepBN: batch norm plus its input times one trained number, `slope`."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(width, **options)
        self.slope = nn.Parameter(torch.ones(1))

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) + self.slope * inputs

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        scale, shift = super().scale_and_shift()
        return scale + self.slope, shift


class ProgressiveNorm(nn.Module):
    """PRepBN: in training `share` times layer norm and the rest RepBN, in eval mode RepBN alone."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width, **options)
        self.batch_norm = RepBatchNorm(width, **options)
        self.share = 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return self.batch_norm(inputs)
        return self.share * self.layer_norm(inputs) + (1 - self.share) * self.batch_norm(inputs)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        return self.batch_norm.scale_and_shift()


class Contiguous(nn.Module):
    """The same numbers, in the order of their indices. (The convolution over patches leaves tokens side by side, which
    layer norm mends in passing.)"""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.contiguous()


def foldable_vit(classes: int, width: int, size: int, norm: type[nn.Module], **options: Any) -> VisionTransformer:
    """The plain ViT with other norms, of which the last comes before the mean over the tokens. norm: a class of this
    module. options: of timm's VisionTransformer."""
    model = vit(classes, width, size, norm_layer=norm, fc_norm=False, **options)
    model.norm_pre = Contiguous()
    return model


@torch.no_grad()
def folded(model: VisionTransformer) -> VisionTransformer:
    """A copy in eval mode without norms: the scale and shift of each are in the linear layer behind it. Those of the
    last norm pass through the mean over the tokens, and are in the head."""
    found = deepcopy(model).eval()
    block: Any
    for block in found.blocks:
        _fold(block.norm1, block.attn.qkv)
        _fold(block.norm2, block.mlp.fc1)
        block.norm1, block.norm2 = nn.Identity(), nn.Identity()
    _fold(found.norm, found.head)
    found.norm = nn.Identity()
    return found


def _fold(norm: Any, linear: Any) -> None:
    scale, shift = norm.scale_and_shift()
    linear.bias += linear.weight @ shift
    linear.weight *= scale
