"""The plain models of the suites, of timm's blocks, for images of 16 or 32 pixels."""

from functools import partial
from typing import Any

from timm.layers import HybridEmbed
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

PATCH = 4
"""Pixels of a side that the stem makes a token of."""


def resnet(classes: int, width: int, **options: Any) -> ResNet:
    """A ResNet-D (He et al., 2019) of three stages with one block each: `width`, twice and four times as many channels
    at a half, a quarter and an eighth of the size. 24 channels are 175,000 parameters and 7.9 million MACs at 32
    pixels. options: of timm's ResNet (`drop_path_rate`, `block_args`...), to go before these."""
    blocks = {"block": BasicBlock, "layers": (1, 1, 1), "channels": (width, 2 * width, 4 * width)}
    stem = {"stem_type": "deep", "stem_width": width // 2, "avg_down": True}
    model = ResNet(**{**blocks, **stem, "num_classes": classes, **options})
    # Small images keep their size where a photograph is halved once more, and there is no fourth stage.
    model.maxpool = nn.Identity()
    model.layer4 = nn.Identity()
    return model


def vit(classes: int, width: int, size: int, **options: Any) -> VisionTransformer:
    """A ViT (Dosovitskiy et al., 2020) of three blocks with four heads over tokens of 4 x 4 pixels; the mean of the
    tokens is classified. Convolutions make the tokens, from which it learns sooner than from patches (Xiao et al.,
    2021). options: of timm's VisionTransformer (`norm_layer`, `depth`, `drop_path_rate`...).
    """
    shape = {"embed_dim": width, "depth": 3, "num_heads": 4, "mlp_ratio": 2.0}
    tokens = {"img_size": size, "patch_size": 1, "embed_layer": partial(HybridEmbed, backbone=stem(width))}
    head = {"num_classes": classes, "class_token": False, "global_pool": "avg"}
    return VisionTransformer(**{**shape, **tokens, **head, **options})


def stem(width: int) -> nn.Sequential:
    """Images (n, 3, size, size) to maps (n, width, size / PATCH, size / PATCH), by three convolutions with batch norms
    and a linear layer."""
    half = width // 2
    return nn.Sequential(
        *(nn.Conv2d(3, half, 3, 2, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()),
        *(nn.Conv2d(half, half, 3, 1, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()),
        *(nn.Conv2d(half, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
        nn.Conv2d(width, width, 1),
    )
