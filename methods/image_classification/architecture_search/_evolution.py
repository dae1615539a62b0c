"""Search by evolution, and what is left of it without parents: random search."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from methods.image_classification.architecture_search._space import Genes, Shape, Space

_TRIES = 200
"""Children or strangers, until it is given up to find one that is new and allowed."""


@dataclass(frozen=True)
class Plan:
    """strangers: nets drawn at random at the start. rounds: of evolution; in each the best `parents` of all so far have
    `mutants`, which change each gene with the probability `change`, and as many `crossings` of two."""

    strangers: int
    rounds: int = 0
    parents: int = 0
    mutants: int = 0
    crossings: int = 0
    change: float = 0.3

    @property
    def evaluations(self) -> int:
        return self.strangers + self.rounds * (self.mutants + self.crossings)


def evolve(
    space: Space,
    allowed: Callable[[Shape], bool],
    loss: Callable[[Shape], float],
    plan: Plan,
    rng: np.random.Generator,
) -> Shape | None:
    """The best net of those that were asked for their loss; None where not one was found that is allowed. No net is
    asked twice; fewer are where there are no more."""
    known: dict[Shape, tuple[float, Genes]] = {}

    def ask(count: int, draw: Callable[[], Genes]) -> None:
        for _ in range(count):
            for _ in range(_TRIES):
                genes = draw()
                shape = space.shape(genes)
                if shape not in known and allowed(shape):
                    known[shape] = (loss(shape), genes)
                    break

    ask(plan.strangers, partial(space.sample, rng))
    for _ in range(plan.rounds if known else 0):
        parents = [genes for _, genes in sorted(known.values())[: plan.parents]]
        ask(plan.mutants, partial(_mutant, parents, space, plan.change, rng))
        ask(plan.crossings, partial(_crossing, parents, rng))
    return min(known, key=lambda shape: known[shape][0], default=None)


def _mutant(parents: list[Genes], space: Space, change: float, rng: np.random.Generator) -> Genes:
    parent = parents[rng.integers(len(parents))]
    return tuple(
        int(rng.choice(options)) if rng.random() < change else gene
        for gene, options in zip(parent, space.options, strict=True)
    )


def _crossing(parents: list[Genes], rng: np.random.Generator) -> Genes:
    one, other = (parents[each] for each in rng.choice(len(parents), 2, replace=len(parents) == 1))
    return tuple(mine if rng.random() < 0.5 else yours for mine, yours in zip(one, other, strict=True))
