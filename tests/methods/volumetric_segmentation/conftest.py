"""Tasks of volumetric-segmentation as its suite gives them, weighed as the judge weighs."""

from collections.abc import Callable
from functools import cache

import pytest
import torch

from bench.contract import Built, Setting
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run.weigh import Scale
from methods.volumetric_segmentation._network import UNet
from methods.volumetric_segmentation._training import BLOCKS, WIDTH
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch, VolumeLearner
from suites.volumetric_segmentation.task import SegmentationTask

Make = Callable[..., SegmentationTask]


@pytest.fixture
def segmentation() -> Make:
    def make(point: str = "memory-25", seed: int = 0, passes: int = 3) -> SegmentationTask:
        suite = open_registry(plugins=False).suite("volumetric-segmentation")
        problem = load_problem(suite, "segment")
        task = problem.task_at_hand(Setting("tiny", "toy-16", suite.points[point].at("tiny"), seed))
        task.most_passes = passes
        task.weigh = Scale(problem, task, {"training_memory": of_the_plain_one()}).weigh
        return task

    return make


@cache
def of_the_plain_one() -> float:
    """Bytes of its training step."""
    suite = open_registry(plugins=False).suite("volumetric-segmentation")
    problem = load_problem(suite, "segment")
    task = problem.task_at_hand(Setting("tiny", "toy-16", suite.points["memory-100"].at("tiny"), 0))
    trainer = Trainer(VolumeLearner(UNet(WIDTH, BLOCKS)))
    return Scale(problem, task, {}).weigh(Built(trainer.learner.model, rig=trainer))["training_memory"]


@pytest.fixture
def volume() -> VolumeBatch:
    """One, 8 voxels a side."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (1, 4, 8, 8, 8), dtype=torch.uint8, generator=generator)
    return VolumeBatch(images, torch.randint(4, (1, 8, 8, 8), dtype=torch.uint8, generator=generator))
