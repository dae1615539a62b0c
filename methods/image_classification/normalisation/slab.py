"""SLAB: Efficient Transformers with Simplified Linear Attention and Progressive Re-parameterized Batch Normalization
(Guo et al., 2024), https://arxiv.org/abs/2405.11582."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from bench.contract import Built, Card, Claim, Method
from methods.image_classification._training import fit, widest
from methods.image_classification.normalisation._norms import ProgressiveNorm, foldable_vit, folded
from suites._training.learner import Moment
from suites._vision.learning import ImageLearner
from suites.image_classification.task import ClassificationTask

NARROWEST, STEP = 16, 4


class SimplifiedLinearAttention(Attention):
    """SLA: ReLU of queries and keys in place of the softmax, and a depth-wise convolution of the values beside it, the
    same for all heads."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(width, **options)
        self.local = nn.Conv2d(self.head_dim, self.head_dim, 5, padding=2, groups=self.head_dim)

    def place(self, grid: tuple[int, int]) -> None:
        """The tokens lie on a grid of so many rows and columns; keys get a trained position on it."""
        self.grid = grid
        self.position = nn.Parameter(torch.zeros(1, grid[0] * grid[1], self.attn_dim))

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Tokens (n, tokens, width), each of which attends to all."""
        assert attn_mask is None
        assert not is_causal
        queries, keys, values = self.qkv(x).chunk(3, dim=-1)
        queries, keys = queries.relu(), (keys + self.position).relu()
        queries, keys, values = (
            each.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for each in (queries, keys, values)
        )
        maps = values.transpose(-1, -2).reshape(-1, self.head_dim, *self.grid)
        near = self.local(maps).view(*values.shape[:2], self.head_dim, -1).transpose(-1, -2)
        mixed = linear_attention(queries, keys, values) + near
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


def linear_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Weights are products of queries and keys, none of which is negative, over their sum. All (n, heads, tokens, head
    size). The order of the products is the one that takes less: linear in the tokens where there are more of them than
    numbers of a head."""
    total = queries @ keys.sum(-2).unsqueeze(-1) + 1e-6
    tokens, size = queries.shape[-2:]
    if tokens > size:
        return queries @ (keys.transpose(-1, -2) @ values) / total
    return queries @ keys.transpose(-1, -2) @ values / total


class ProgressiveLearner(ImageLearner):
    """decay: the part of the training in which the share of layer norm falls from 1 to 0, linearly in the steps."""

    def __init__(self, model: nn.Module, weight_decay: float, decay: float) -> None:
        super().__init__(model, weight_decay)
        self.decay = decay

    def before_step(self, moment: Moment) -> None:
        share = max(0.0, 1 - moment.step / (self.decay * moment.steps))
        for module in self.model.modules():
            if isinstance(module, ProgressiveNorm):
                module.share = share


@dataclass(frozen=True)
class Slab(Method[ClassificationTask]):
    """A ViT whose layer norms give way to batch norms while it trains: each norm is a weighted mean of both, and the
    layer norm's weight falls to zero. Batch norm has a trained multiple of its input beside it, and goes into the
    linear layer behind it when the training is over. Attention is linear: ReLU in place of the softmax, and a
    depth-wise convolution of the values.

    linear: whether the attention is. decay: the part of the training in which the weight falls. width, rate,
    weight_decay: as of the plain ViT.
    """

    card = Card(
        slug="slab",
        title="SLAB",
        paper="Guo et al., 2024. SLAB: Efficient Transformers with Simplified Linear Attention and Progressive "
        "Re-parameterized Batch Normalization",
        url="https://arxiv.org/abs/2405.11582",
        stochastic=True,
        claims=(
            Claim(
                text="Progressive batch norm does not cost accuracy against layer norm",
                source="section 4, DeiT on ImageNet; README of the public code",
                metric="top1",
                versus="vit",
                points=("macs-12m",),
                relation="same",
                paper_value="DeiT-T with PRepBN 73.6 %, with SLA too 74.3 %",
            ),
            Claim(
                text="It classifies faster than the same transformer with layer norm and softmax",
                source="abstract",
                metric="classify.latency.ratio",
                versus="vit",
                points=("macs-12m",),
                paper_value="16.2 ms for SLAB-Swin, 2.4 ms less than Flatten-Swin",
            ),
            Claim(
                text="Batch norm that comes by and by is better than batch norm from the start",
                source="abstract",
                metric="top1",
                versus="vit-batchnorm",
                points=("macs-12m",),
            ),
        ),
        differences=(
            "The share of layer norm follows the steps as in the paper, but over 60 % of a shorter training.",
            "Keys get a position, as in the public code.",
            "All norms are folded, the last one too, which comes before the mean over the tokens.",
        ),
        notes="`prepbn` has the norms alone, with softmax attention, as the paper has it too. The learning curve is "
        "of batch norm alone, as it would be shipped, so it means little before the share is zero.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "prepbn": {"linear": False}}

    linear: bool = True
    decay: float = 0.6
    width: int = 72
    rate: float = 2e-3
    weight_decay: float = 0.05

    def supports(self, task: ClassificationTask) -> str | None:
        return task.still_over(folded(self._model(task, NARROWEST)), f"tokens of {NARROWEST} numbers")

    def build(self, task: ClassificationTask) -> Built:
        widths = range(NARROWEST, self.width + 1, STEP)
        width = widest(task, lambda each: folded(self._model(task, each)), widths)
        assert width is not None
        return fit(
            task,
            lambda: ProgressiveLearner(self._model(task, width), self.weight_decay, self.decay),
            self.rate,
            finish=lambda learner: folded(learner.model),
        )

    def _model(self, task: ClassificationTask, width: int) -> VisionTransformer:
        attention = {"attn_layer": SimplifiedLinearAttention} if self.linear else {}
        model = foldable_vit(task.classes, width, task.size, ProgressiveNorm, **attention)
        if self.linear:
            for module in model.modules():
                if isinstance(module, SimplifiedLinearAttention):
                    module.place(model.patch_embed.grid_size)
        return model
