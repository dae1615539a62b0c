"""Dice of nested regions, by hand and by a peer."""

import numpy as np
import pytest
import torch

from suites.volumetric_segmentation.learning import dice_loss, segmentation_loss
from suites.volumetric_segmentation.regions import REGIONS, dice, dice_scores

TRUTH = np.array([[[0, 1, 3, 3], [2, 2, 0, 0]]], dtype=np.uint8)
FOUND = np.array([[[1, 1, 3, 2], [2, 0, 0, 0]]], dtype=np.uint8)


def test_dice_by_hand() -> None:
    assert dice(FOUND, TRUTH, "whole") == 2 * 4 / (5 + 5)
    assert dice(FOUND, TRUTH, "core") == 2 * 2 / (3 + 3)
    assert dice(FOUND, TRUTH, "enhancing") == 2 * 1 / (1 + 2)


def test_a_region_that_is_in_neither_is_right_and_one_that_is_in_one_is_wrong() -> None:
    nothing = np.zeros_like(TRUTH)
    assert dice(nothing, nothing, "core") == 1
    assert dice(nothing, TRUTH, "core") == dice(TRUTH, nothing, "core") == 0


def test_scores_have_a_sample_a_volume() -> None:
    scores = {score.name: score for score in dice_scores(np.stack([FOUND, TRUTH]), np.stack([TRUTH, TRUTH]))}
    assert scores.keys() == {"dice", "dice_whole", "dice_core", "dice_enhancing"}
    assert scores["dice"].samples == pytest.approx([(0.8 + 2 / 3 + 2 / 3) / 3, 1.0])
    assert scores["dice_whole"].samples == pytest.approx([0.8, 1.0])


def one_hot(labels: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(labels).long(), 4).movedim(-1, 1).float()


def test_the_loss_of_sure_answers_is_one_less_their_dice() -> None:
    truth = np.concatenate([TRUTH] * 50, -1)[None]
    found = np.concatenate([FOUND] * 50, -1)[None]
    wanted = 1 - np.mean([dice(found[0], truth[0], region) for region in REGIONS])
    assert float(dice_loss(one_hot(found), torch.from_numpy(truth))) == pytest.approx(wanted, abs=0.01)
    assert float(dice_loss(one_hot(truth), torch.from_numpy(truth))) == pytest.approx(0, abs=1e-6)


def test_the_loss_falls_where_the_answer_gets_better() -> None:
    logits = torch.zeros(1, 4, 1, 2, 4, requires_grad=True)
    labels = torch.from_numpy(TRUTH)[None]
    loss = segmentation_loss(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(segmentation_loss(logits - gradient, labels)) < float(loss)
    right = gradient.gather(1, labels.long()[:, None])
    assert (right < 0).all()


def test_it_is_that_of_monai() -> None:
    losses = pytest.importorskip("monai.losses")
    torch.manual_seed(0)
    probabilities = torch.randn(2, 4, 4, 4, 4).softmax(1)
    labels = torch.randint(0, 4, (2, 4, 4, 4), dtype=torch.uint8)
    regions = list(REGIONS.values())
    found = torch.stack([probabilities[:, list(each)].sum(1) for each in regions], 1)
    truth = torch.stack([torch.isin(labels, torch.tensor(list(each))) for each in regions], 1).float()
    peer = losses.DiceLoss(smooth_nr=1.0, smooth_dr=1.0)(found, truth)
    assert float(dice_loss(probabilities, labels)) == pytest.approx(float(peer), rel=1e-5)
