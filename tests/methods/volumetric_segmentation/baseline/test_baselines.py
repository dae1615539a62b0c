"""The plain U-Net, cut to its limits, and the atlas."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.contract import Built
from methods.volumetric_segmentation._network import UNet, halves
from methods.volumetric_segmentation._training import NARROWEST, WIDTH, widest
from methods.volumetric_segmentation.baseline.atlas import TumourAtlas, best_mask
from methods.volumetric_segmentation.baseline.unet import PlainUNet
from methods.volumetric_segmentation.baseline.unet_narrow import NarrowUNet
from suites.volumetric_segmentation.learning import VolumeBatch, segmentation_loss
from suites.volumetric_segmentation.task import SegmentationTask
from tests.methods.volumetric_segmentation.conftest import Make


@pytest.mark.parametrize("width", [2, 3, 8, 16])
def test_the_network_gives_logits_of_every_voxel(width: int, volume: VolumeBatch) -> None:
    found = UNet(width, 1)(volume.inputs)
    assert found.shape == (1, 4, 8, 8, 8)
    assert halves(width)[0] + halves(width)[1] == width
    assert len(torch.zeros(width).chunk(2)[0]) == halves(width)[0]


def test_every_weight_of_the_network_counts(volume: VolumeBatch) -> None:
    torch.manual_seed(0)
    net = UNet(4, 2)
    segmentation_loss(net(volume.inputs), volume.labels).backward()
    assert all(each.grad is not None and each.grad.abs().max() > 0 for each in net.parameters())


def test_a_voxel_sees_far(volume: VolumeBatch) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(1, 4, 16, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(UNet(4, 1)(inputs)[0, :, 8, 8, 8].sum(), inputs)
    assert (gradient[0].abs().sum(0) > 0).float().mean() > 0.9


def test_it_is_the_widest_that_the_limit_leaves(segmentation: Make) -> None:
    task = segmentation("memory-50")
    method = NarrowUNet()
    assert method.supports(task) is None
    built = method.build(task)
    assert task.left("sample_passes") == 64 - 3
    found = int(built.figures["channels"])
    ratios = [ratio(task, method, width) for width in (found, found + 1)]
    assert ratios[0] <= 0.5 < ratios[1]
    assert task.weigh(built)["training_memory_ratio"] == ratios[0]


def ratio(task: SegmentationTask, method: NarrowUNet, width: int) -> float:
    trainer = method._training(width)
    return task.weigh(Built(trainer.learner.model, rig=trainer))["training_memory_ratio"]


def test_the_plain_one_has_all_channels_or_none(segmentation: Make) -> None:
    task = segmentation("memory-100", passes=1)
    assert PlainUNet().supports(task) is None
    built = PlainUNet().build(task)
    assert built.figures["channels"] == WIDTH
    assert task.weigh(built)["training_memory_ratio"] == 1.0
    assert "is still 1.000 with all 16 channels" in str(PlainUNet().supports(segmentation("memory-50")))


def test_at_the_plain_ones_memory_fewer_channels_save_nothing(segmentation: Make) -> None:
    task = segmentation("memory-100")
    assert "no memory to save" in str(NarrowUNet().supports(task))
    assert widest(task, NarrowUNet()._training, WIDTH) == WIDTH


def test_a_limit_that_is_too_low_is_said(segmentation: Make) -> None:
    task = segmentation("memory-25")
    task.limits = replace(task.limits, result={"training_memory_ratio": 1e-3})
    reason = NarrowUNet().supports(task)
    assert reason is not None
    assert f"with {NARROWEST} channels" in reason


def test_it_learns(segmentation: Make) -> None:
    task = segmentation("memory-25", passes=40)
    before = NarrowUNet()._training(8).learner.model
    held = task.validation()[0]
    built = NarrowUNet().build(task)
    with torch.no_grad():
        losses = [float(segmentation_loss(net(held.inputs), held.labels)) for net in (before, built.candidate)]
    assert losses[1] < losses[0] / 2
    assert built.figures["learning_curve"] > losses[1]


def test_the_best_mask_is_that_of_a_search_over_all_shares() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((30, 6, 6)) < rng.random((6, 6))

    def dice(mask: np.ndarray) -> float:
        return float(np.mean([2 * (each & mask).sum() / (each.sum() + mask.sum()) for each in truth]))

    share = truth.mean(0)
    best = max(dice(share >= threshold) for threshold in np.unique(share))
    assert dice(best_mask(truth)) > 0.98 * best
    assert dice(best_mask(truth)) > dice(share >= 0.9)


def test_the_atlas_says_the_same_of_every_volume_and_looks_at_none(segmentation: Make) -> None:
    task = segmentation("memory-25")
    built = TumourAtlas().build(task)
    found = built.candidate(torch.randn(2, 4, 16, 16, 16)).argmax(1)
    assert torch.equal(found[0], found[1])
    assert set(found.unique().tolist()) >= {0, 2}
    assert task.left("sample_passes") == 64
    assert built.figures == {"training_memory_ratio": 0.0}
    where = np.isin(task.labels, (1, 2, 3)).mean(0)
    assert where[found[0].numpy() > 0].min() >= where[found[0].numpy() == 0].max()
