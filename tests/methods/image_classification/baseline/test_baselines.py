"""The plain models and the controls that know next to nothing."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from methods.image_classification._training import widest
from methods.image_classification.baseline.majority import Majority
from methods.image_classification.baseline.mean_image_nearest import MeanImageNearest
from methods.image_classification.baseline.resnet import PlainResNet
from methods.image_classification.baseline.vit import PlainViT
from suites._vision.models import resnet
from tests.methods.image_classification.conftest import Make

FLOPS = 1.2e6
"""Of an image at tiny scale: between the narrowest and the widest of each."""


@pytest.mark.parametrize("method", [PlainResNet(), PlainViT()], ids=["resnet", "vit"])
def test_they_fill_the_limit_learn_and_give_the_same_again(classification: Make, method: PlainResNet) -> None:
    task = classification(flops=FLOPS, passes=2_600)
    assert method.supports(task) is None
    built = method.build(task)
    assert FLOPS / 2 < task.weigh(built)["flops"] <= FLOPS
    assert task.left("sample_passes") == 70_000 - 2_560  # whole batches of 64
    answers = torch.cat([built.candidate(each.inputs) for each in task.validation()])
    assert cross_entropy(answers, torch.cat([each.labels for each in task.validation()])) < 0.95 * np.log(10)
    again = method.build(classification(flops=FLOPS, passes=2_600))
    for one, other in zip(built.candidate.parameters(), again.candidate.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("method", [PlainResNet(), PlainViT()], ids=["resnet", "vit"])
def test_a_limit_that_is_too_low_is_said(classification: Make, method: PlainResNet) -> None:
    reason = method.supports(classification(flops=1e4))
    assert reason is not None
    assert "flops is still" in reason


def test_the_widest_is_the_last_that_is_within(classification: Make) -> None:
    task = classification(flops=FLOPS)
    found = widest(task, lambda width: resnet(10, width), range(8, 29, 2))
    assert found is not None
    assert task.weigh(resnet(10, found))["flops"] <= FLOPS < task.weigh(resnet(10, found + 2))["flops"]
    assert widest(classification(flops=1e4), lambda width: resnet(10, width), [8]) is None


def test_the_majority_says_the_shares_of_the_labels(classification: Make) -> None:
    task = classification()
    logits = Majority().build(task)(torch.zeros(3, 3, 16, 16))
    shares = np.bincount(task.labels, minlength=10) + 1
    assert torch.allclose(logits.softmax(-1)[2], torch.tensor(shares / shares.sum()).float())
    assert task.left("sample_passes") == 70_000  # no image was looked at


def test_the_nearest_mean_is_that_of_brute_force(classification: Make) -> None:
    task = classification(passes=10_000)
    model = MeanImageNearest().build(task)
    assert task.left("sample_passes") == 70_000 - 160 // 64 * 64
    seen = classification().training(passes=160)
    inputs = torch.cat([batch.inputs for batch in seen]).flatten(1)
    labels = torch.cat([batch.labels for batch in seen])
    means = torch.stack([inputs[labels == each].mean(0) for each in range(10)])
    asked = task.validation()[0].inputs
    wanted = torch.cdist(asked.flatten(1), means).argmin(-1)
    assert (model(asked).argmax(-1) == wanted).all()
