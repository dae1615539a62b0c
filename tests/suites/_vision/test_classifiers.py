"""Classifiers as they are served, scored, and given their images."""

import io

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.contract import Limits, OverBudget
from bench.contract.supply import AtHand, Meter
from bench.measure.flops import count_flops
from suites._vision import scores
from suites._vision.data import Labelled
from suites._vision.efficientnet import efficientnet_lite0
from suites._vision.learning import as_inputs
from suites._vision.models import resnet, vit
from suites._vision.served import ServedClassifier
from suites._vision.supplies import Images, Labels
from suites._vision.task import ImageTask


def images(count: int = 12, size: int = 16) -> Labelled:
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(count, 3, size, size), dtype=np.uint8)
    return Labelled(pixels, np.arange(count, dtype=np.int64) % 4)


class FirstPixels(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, 0, 0, :4]


def make_task(passes: int | None, count: int = 12, most: int = 30) -> ImageTask:
    limits = Limits(supplies={} if passes is None else {"sample_passes": passes})
    meter, data = Meter(limits), images(count)
    task = ImageTask(scale="tiny", seed=1, limits=limits, classes=4, size=16, most_passes=most)
    task.left = meter.left
    supplies = {
        "training": Images(data, "sample_passes"),
        "labels": Labels(data),
        "validation": Images(data.part([0, 1, 2]), None),
    }
    task.supplies = {name: AtHand(supply, meter) for name, supply in supplies.items()}
    return task


# --- served ---


def test_images_of_another_size_or_type_are_refused_in_a_sentence() -> None:
    served = ServedClassifier(FirstPixels(), "cpu", 4, 16)
    for wrong in (
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((2, 3, 16, 16), np.float32),
        np.zeros((3, 16, 16), np.uint8),
        np.zeros((0, 3, 16, 16), np.uint8),
    ):
        with pytest.raises(ValueError, match=r"images are uint8 and \(n, 3, 16, 16\); these are"):
            served.logits(wrong)


def test_logits_of_another_shape_are_refused_in_a_sentence() -> None:
    served = ServedClassifier(FirstPixels(), "cpu", 5, 16)
    with pytest.raises(ValueError, match=r"logits of the shape \(12, 5\) were wanted; the model gave \(12, 4\)"):
        served.logits(images().images)


def test_pixels_come_as_numbers_from_minus_one_to_one() -> None:
    assert as_inputs(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
    served = ServedClassifier(FirstPixels(), "cpu", 4, 16)
    data = images(600)
    (placed,) = served.place((data.images,))
    assert torch.equal(served.logits(data.images), served.classify(placed))
    assert torch.equal(served.classify(placed), placed[:, 0, 0, :4].float() / 127.5 - 1)


# --- scores ---


def test_scores_by_hand() -> None:
    labels = np.array([0, 1] * 30)
    sure = np.where(np.arange(2) == 0, 0.0, -50.0)[None].repeat(60, 0).astype(np.float32)
    assert scores.top1("top1", sure, labels).value == 0.5
    assert scores.nll("nll", sure, labels).value == pytest.approx(25)
    assert scores.calibration_error("ece", sure, labels).value == pytest.approx(0.5)
    even = np.zeros((60, 2), np.float32)
    assert scores.calibration_error("ece", even, np.zeros(60, np.int64)).value == pytest.approx(0.5)
    assert scores.divergence("kl", even, even).value == 0
    assert scores.divergence("kl", even, sure).value == pytest.approx(np.log(2))
    assert scores.agreement("same", -sure, sure).value == 0


# --- training images ---


def test_an_epoch_has_every_image_once_and_each_showing_counts() -> None:
    task = make_task(passes=26)
    batches = task.training(batch=4)
    assert len(batches) == 6
    assert task.passes == 26  # nothing has been shown yet
    shown = [batch.images for batch in batches]
    assert task.passes == 2
    first = torch.cat(shown[:3]).flatten(1)
    assert len({tuple(row.tolist()) for row in first}) == 12
    assert len(batches.numbers[:3].ravel()) == len(set(batches.numbers[:3].ravel()))
    with pytest.raises(OverBudget):
        task.images([0, 1, 2])


def test_the_order_is_the_seeds_and_the_scale_bounds_the_passes() -> None:
    one, again, other = make_task(None), make_task(None), make_task(None)
    other.seed = 2
    assert (one.training(4).numbers == again.training(4).numbers).all()
    assert (one.training(4).numbers != other.training(4).numbers).any()
    assert one.training(4).numbers.size == 28
    assert len(one.training(64).numbers[0]) == 12  # no batch is larger than what there is


def test_labels_and_validation_images_are_free() -> None:
    task = make_task(passes=4)
    assert task.labels.tolist() == [0, 1, 2, 3] * 3
    assert [len(batch.labels) for batch in task.validation(2)] == [2, 1]
    assert task.passes == 4


# --- models ---


def test_the_plain_models_are_of_the_size_that_they_say() -> None:
    model = resnet(36, 24).eval()
    assert sum(each.numel() for each in model.parameters()) == pytest.approx(175_000, rel=0.05)
    with torch.inference_mode():
        assert count_flops(lambda: model(torch.zeros(1, 3, 32, 32))) == pytest.approx(2 * 7.9e6, rel=0.02)
    for each, size in ((resnet(10, 8), 16), (vit(10, 16, 16), 16), (vit(10, 16, 32), 32)):
        assert each.eval()(torch.zeros(2, 3, size, size)).shape == (2, 10)
        torch.save(each, io.BytesIO())


@pytest.mark.embedded
def test_efficientnet_knows_a_cat() -> None:
    from suites._vision.photographs import SCENES, photographs

    cat = photographs("test", 300)[list(SCENES["test"]).index("cat")][0]
    pixels = torch.from_numpy(cat[:200, 40:264].copy()).permute(2, 0, 1)[None]
    whole = nn.functional.interpolate(pixels.float(), (224, 224), mode="bilinear").to(torch.uint8)
    with torch.inference_mode():
        best = efficientnet_lite0()(as_inputs(whole)).topk(3).indices[0].tolist()
    assert {281, 282, 285} & set(best)  # tabby, tiger cat, Egyptian cat
