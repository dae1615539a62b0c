"""From a space of nets to a trained one: a super-net is trained, nets are asked in it, the best starts anew."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bench.contract import Built
from methods.image_classification._training import fit
from methods.image_classification.architecture_search._evolution import Plan, evolve
from methods.image_classification.architecture_search._multi_stage import MultiStageViT, multiply_adds
from methods.image_classification.architecture_search._space import Shape, Space, space_of
from methods.image_classification.architecture_search._supernet import SuperLearner
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites._vision.learning import ImageLearner
from suites._vision.task import BATCH
from suites.image_classification.task import ClassificationTask

UNITS = (80, 64, 56, 48, 40, 32, 24, 16, 8)
DEPTH = 2
ROOM = 3.0
"""How many times the limit the largest net of a space may take: the paper's takes 2.7 times."""

FULL = 0.95
"""Nets that leave more of the limit unused are not asked, where the largest net is over it."""


@dataclass(frozen=True)
class Nets:
    """Makes the nets of a space, and says what they take. It can be pickled."""

    space: Space
    classes: int
    size: int

    def __call__(self, shape: Shape) -> nn.Module:
        return MultiStageViT(shape, self.space.head_size, self.classes, self.size)

    def flops(self, shape: Shape) -> float:
        return 2.0 * multiply_adds(shape, self.space.head_size, self.classes, self.size)


def nets_of(task: ClassificationTask, unit: int) -> Nets:
    return Nets(space_of(unit, DEPTH), task.classes, task.size)


def widest_nets(task: ClassificationTask) -> Nets:
    """The largest space that is not all too large for the limit."""
    limit = task.limits.result["flops"]
    found = (nets_of(task, unit) for unit in UNITS)
    return next((nets for nets in found if nets.flops(nets.space.largest) <= ROOM * limit), nets_of(task, UNITS[-1]))


def too_large(task: ClassificationTask) -> str | None:
    """Why not even the smallest net meets the limits, or None."""
    nets = nets_of(task, UNITS[-1])
    return task.still_over(nets(nets.space.smallest), "the smallest net of the smallest space")


def super_net(task: ClassificationTask, nets: Nets, at_once: int, passes: int, rate: float) -> SuperLearner:
    """Trained by `at_once` nets a step."""
    devices = [task.device] if task.device.startswith("cuda") else []
    rng = np.random.default_rng([task.seed, 0x5AE7])
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(task.seed)
        learner = SuperLearner(nets.space, nets, at_once, rng)
        learner.model.to(task.device)
        train(Trainer(learner), task.training(BATCH, passes), rate)
    return learner


def searched(task: ClassificationTask, nets: Nets, learner: SuperLearner, plan: Plan) -> Shape:
    """The net within the limit that loses least on the validation images, with the weights of the super-net."""
    limit = task.limits.result["flops"]
    largest = nets.space.largest
    beside = max(0.0, task.weigh(nets(largest))["flops"] - nets.flops(largest))  # elementwise: no part of it has more
    fullness = FULL if nets.flops(largest) + beside > limit else 0.0

    @torch.no_grad()
    def loss(shape: Shape) -> float:
        answer = learner.part(shape)
        losses = [cross_entropy(answer(each.inputs), each.labels) for each in task.validation()]
        return float(torch.stack(losses).mean())

    rng = np.random.default_rng([task.seed, 0xE701])
    for least in (fullness * limit, 0.0):
        found = evolve(nets.space, lambda shape: least <= nets.flops(shape) + beside <= limit, loss, plan, rng)  # noqa: B023
        if found is not None:
            return found
    return nets.space.smallest


def search_and_train(task: ClassificationTask, at_once: int, share: float, plan: Plan, rate: float) -> Built:
    """The net that was found, trained from new weights on the passes that the search leaves: all but `share`."""
    total = task.passes
    first = int(share * total)
    nets = widest_nets(task)
    shape = searched(task, nets, super_net(task, nets, at_once, first, rate), plan)
    built = fit(task, lambda: ImageLearner(nets(shape)), rate, passes=total - first)
    reached = {name: passes + first for name, passes in built.figures.items() if name == "passes_to_level"}
    return replace(built, figures={**built.figures, **reached})
