"""What is searched: sizes of a Vision Transformer of three stages, each out of a few."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Genes = tuple[int, ...]
"""A net, as one number for each thing that can be chosen."""


@dataclass(frozen=True)
class Stage:
    """width: of a token. blocks: heads, and hidden numbers of the MLP, of each."""

    width: int
    blocks: tuple[tuple[int, int], ...]


Shape = tuple[Stage, ...]


@dataclass(frozen=True)
class StageOptions:
    """What a stage may have, the largest first."""

    widths: Genes
    depths: Genes
    heads: Genes
    hidden: Genes

    @property
    def genes(self) -> tuple[Genes, ...]:
        """The options of each gene: width, depth, and heads and hidden numbers of each block."""
        return (self.widths, self.depths, *(self.heads, self.hidden) * self.depths[0])

    def stage(self, genes: Genes) -> Stage:
        width, depth, *sizes = genes
        return Stage(width, tuple(zip(sizes[0 : 2 * depth : 2], sizes[1 : 2 * depth : 2], strict=True)))


@dataclass(frozen=True)
class Space:
    """Of nets whose heads have all the same size. A net takes the first channels of each width, the first heads, the
    first blocks: so every net is a part of the largest."""

    stages: tuple[StageOptions, ...]
    head_size: int

    @property
    def options(self) -> tuple[Genes, ...]:
        return tuple(options for stage in self.stages for options in stage.genes)

    @property
    def largest(self) -> Shape:
        return self.shape(tuple(options[0] for options in self.options))

    @property
    def smallest(self) -> Shape:
        return self.shape(tuple(options[-1] for options in self.options))

    def shape(self, genes: Genes) -> Shape:
        """Genes of blocks that the depth leaves out say nothing."""
        found, start = [], 0
        for stage in self.stages:
            end = start + len(stage.genes)
            found.append(stage.stage(genes[start:end]))
            start = end
        return tuple(found)

    def sample(self, rng: np.random.Generator) -> Genes:
        return tuple(int(rng.choice(options)) for options in self.options)

    def samples(self, count: int, opened: float, rng: np.random.Generator) -> Sequence[Shape]:
        """Nets to be trained side by side: each option of a gene occurs as often as another, up to one. opened: how
        far the options are open, from 0, where there is the largest net alone, to 1."""
        columns = []
        for options in self.options:
            open_now = options[: 1 + int(min(opened, 1.0) * (len(options) - 1))]
            repeated = (rng.permutation(open_now) for _ in range(-(-count // len(open_now))))
            columns.append(rng.permutation(np.concatenate(list(repeated))[:count]).tolist())
        return [self.shape(genes) for genes in zip(*columns, strict=True)]


def space_of(unit: int, depth: int) -> Space:
    """Three stages, `unit` numbers wide at the most, then twice and four times that: the paper's proportions, at 256.
    unit: a multiple of 8. depth: blocks of a stage at the most; the last can go."""
    heads = ((4, 3, 2), (8, 6, 4), (12, 10, 8))
    stages = []
    for number, of_stage in enumerate(heads):
        eighth = unit * 2**number // 8
        widths = tuple(eighth * eighths for eighths in (8, 7, 6, 5))
        hidden = tuple(eighth * eighths for eighths in (24, 20, 16, 12))
        stages.append(StageOptions(widths, tuple(range(depth, max(1, depth - 1) - 1, -1)), of_stage, hidden))
    return Space(tuple(stages), head_size=unit // 4)
