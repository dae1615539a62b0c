"""Importance of blocks, heads, neurons and channels of the residual stream, from activations alone, in one pass."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from methods.lm_compression.structured_pruning._cut import kv_groups, layers, output_projections
from methods.lm_compression.structured_pruning._trim import Shape, Trimmed, norms, shape_of


class Importance(NamedTuple):
    """Higher is more important. blocks: (blocks,). hidden: (channels,). heads, neurons: (count,) for each block.

    energy: for each norm, the mean share of each channel in the squared length of what it normalises, (channels,).
    """

    blocks: Tensor
    hidden: Tensor
    heads: list[Tensor]
    neurons: list[Tensor]
    energy: list[Tensor]
    groups: int

    def most(self, shape: Shape) -> Trimmed:
        """The most important of everything, in an architecture of this shape.

        A norm divides by the root mean square over the channels, which changes with the channels that leave. The
        factors on its weights undo the mean change: where what leaves is all but zero, that is all of it.
        """
        hidden = _best(self.hidden, shape.hidden)
        width = len(self.hidden) / shape.hidden
        return Trimmed(
            _best(self.blocks, shape.blocks).tolist(),
            hidden,
            [self._heads(scores, shape.heads) for scores in self.heads],
            [_best(scores, shape.neurons) for scores in self.neurons],
            [float((width * share[hidden].sum()).sqrt()) for share in self.energy],
        )

    def _heads(self, scores: Tensor, count: int) -> Tensor:
        """The best of each KV group, by its own order: all groups keep equally many."""
        grouped = scores.view(self.groups, -1)
        best = grouped.argsort(dim=1, descending=True, stable=True)[:, :count].sort(1).values
        return (best + torch.arange(self.groups)[:, None] * grouped.shape[1]).flatten()


@torch.no_grad()
def importance(model: Any, windows: Tensor, batch: int = 8) -> Importance:
    """Over windows (count, length). An activation counts by its mean size over a window, and the windows by the root
    of the sum of squares; a head by the length of its output, a channel of the stream by what the norms make of it,
    summed over all norms; a block by 1 - cosine of what enters and what leaves. The model is left unchanged.
    """
    blocks: list[Any] = list(layers(model))
    size, shape = blocks[0].self_attn.head_dim, shape_of(model)
    heads = [_Aggregate() for _ in range(shape.blocks)]
    neurons = [_Aggregate() for _ in range(shape.blocks)]
    hidden = [_Aggregate() for _ in norms(model)]
    energy, turned = [_Mean() for _ in norms(model)], [_Mean() for _ in range(shape.blocks)]

    def norm_hook(index: int) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def see(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            squares = inputs[0].float().square()
            energy[index].add(squares / squares.sum(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny))
            hidden[index].add(output.float().abs())

        return see

    def block_hook(index: int) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        return lambda _, inputs, output: turned[index].add(
            1 - cosine_similarity(inputs[0].float(), output.float(), dim=-1)[..., None]
        )

    def projection_hook(index: int) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def see(_: nn.Module, inputs: tuple[Tensor]) -> None:
            activation = inputs[0].float()
            if index % 2:
                neurons[index // 2].add(activation.abs())
            else:
                heads[index // 2].add(activation.unflatten(-1, (-1, size)).norm(dim=-1))

        return see

    with ExitStack() as stack:
        for index, norm in enumerate(norms(model)):
            stack.callback(norm.register_forward_hook(norm_hook(index)).remove)
        for index, layer in enumerate(blocks):
            stack.callback(layer.register_forward_hook(block_hook(index)).remove)
        for index, projection in enumerate(output_projections(model)):
            stack.callback(projection.register_forward_pre_hook(projection_hook(index)).remove)
        for ids in windows.split(batch):
            model.get_decoder()(input_ids=ids, use_cache=False)
    return Importance(
        torch.cat([mean.value for mean in turned]),
        torch.stack([part.value for part in hidden]).sum(0),
        [part.value for part in heads],
        [part.value for part in neurons],
        [mean.value for mean in energy],
        kv_groups(blocks[0].self_attn),
    )


class _Aggregate:
    """Mean over each window, root of the sum of squares over the windows."""

    def __init__(self) -> None:
        self._squares: Tensor | float = 0.0

    def add(self, sizes: Tensor) -> None:
        """sizes: (windows, length, channels), not negative."""
        self._squares = self._squares + sizes.mean(1).double().square().sum(0).cpu()

    @property
    def value(self) -> Tensor:
        return torch.as_tensor(self._squares).sqrt()


class _Mean:
    """Mean over all positions."""

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0
        self._count = 0

    def add(self, values: Tensor) -> None:
        """values: (windows, length, channels)."""
        self._sum = self._sum + values.double().sum((0, 1)).cpu()
        self._count += values.shape[0] * values.shape[1]

    @property
    def value(self) -> Tensor:
        return torch.as_tensor(self._sum) / self._count


def _best(scores: Tensor, count: int) -> Tensor:
    """Ascending indices of the `count` highest scores; of equal ones the first."""
    return scores.argsort(descending=True, stable=True)[:count].sort().values
