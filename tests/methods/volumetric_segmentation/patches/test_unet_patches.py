"""Patches: a volume is cut and joined again, a piece knows of no other, and a step sees all of it."""

import pytest
import torch

from bench.contract import Built
from methods.volumetric_segmentation._network import UNet
from methods.volumetric_segmentation._training import WIDTH
from methods.volumetric_segmentation.patches.unet_patches import (
    CUTS,
    PatchedUNet,
    PatchLearner,
    PatchTrainer,
    Patchwise,
    cut,
    joined,
)
from suites._training.learner import Moment
from suites.volumetric_segmentation.learning import VolumeBatch, segmentation_loss
from tests.methods.volumetric_segmentation.conftest import Make

MOMENT = Moment(0, 1)


@pytest.mark.parametrize("pieces", CUTS)
def test_what_is_cut_is_joined_again(pieces: tuple[int, int, int]) -> None:
    volumes = torch.arange(2 * 3 * 4 * 6 * 8).reshape(2, 3, 4, 6, 8)
    parts = cut(volumes, pieces)
    assert parts.shape == (
        2 * pieces[0] * pieces[1] * pieces[2],
        3,
        *(s // p for s, p in zip((4, 6, 8), pieces, strict=True)),
    )
    assert torch.equal(parts[0], volumes[0, :, : 4 // pieces[0], : 6 // pieces[1], : 8 // pieces[2]])
    assert torch.equal(joined(parts, pieces), volumes)


def trainer(pieces: tuple[int, int, int]) -> PatchTrainer:
    torch.manual_seed(0)
    return PatchTrainer(PatchLearner(Patchwise(UNet(4, 1), pieces)))


def test_a_piece_knows_of_no_other() -> None:
    inputs = torch.randn(1, 4, 8, 8, 8, requires_grad=True)
    model = trainer((1, 1, 2)).learner.model
    (gradient,) = torch.autograd.grad(model(inputs)[..., :4].sum(), inputs)
    assert gradient[..., :4].abs().max() > 0
    assert gradient[..., 4:].abs().max() == 0
    assert torch.allclose(model(inputs)[..., 4:], model.net(inputs[..., 4:]), atol=1e-5)


def test_a_step_goes_by_the_mean_loss_of_all_pieces(volume: VolumeBatch) -> None:
    one = trainer((2, 1, 2))
    model = one.learner.model
    pieces = zip(cut(volume.inputs, (2, 1, 2)), cut(volume.labels, (2, 1, 2)), strict=True)
    losses = [segmentation_loss(model.net(piece[None]), labels[None]) for piece, labels in pieces]
    assert one.step(volume, 0.0, MOMENT) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)
    assert one.probe(volume).item() == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)


def test_one_piece_is_the_plain_one(volume: VolumeBatch) -> None:
    one = trainer((1, 1, 1))
    plain = segmentation_loss(one.learner.model.net(volume.inputs), volume.labels)
    assert one.step(volume, 0.0, MOMENT) == pytest.approx(float(plain), rel=1e-5)


@pytest.mark.parametrize(("point", "limit"), [("memory-50", 0.5), ("memory-25", 0.25)])
def test_a_volume_is_cut_into_the_fewest_pieces_that_the_limit_allows(
    segmentation: Make, point: str, limit: float
) -> None:
    task = segmentation(point, passes=1)
    assert PatchedUNet().supports(task) is None
    built = PatchedUNet().build(task)
    chosen = built.candidate.pieces
    assert task.weigh(built)["training_memory_ratio"] <= limit
    coarser = CUTS[CUTS.index(chosen) - 1]
    more = PatchedUNet()._training(coarser)
    assert task.weigh(Built(more.learner.model, rig=more))["training_memory_ratio"] > limit
    assert built.figures["channels"] == WIDTH


def test_where_the_plain_one_fits_there_is_nothing_to_save(segmentation: Make) -> None:
    assert "no memory to save" in str(PatchedUNet().supports(segmentation("memory-100")))
