"""ResNet-RS: the average of the weights, the schedule, the net, the scaling, and that a training has all of them."""

import math
from dataclasses import fields

import pytest
import torch
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn
from torchvision.transforms import v2

from methods.image_classification.baseline.resnet import PlainResNet
from methods.image_classification.recipes import resnet_rs
from methods.image_classification.recipes._averaged import AveragedLearner, decay
from methods.image_classification.recipes.resnet_rs import ResNetRS, cosine
from suites._training.learner import Moment
from suites._vision.learning import ImageBatch
from tests.methods.image_classification.conftest import Make

FLOPS = 1.2e6


def moved(model: nn.Module, value: float) -> None:
    with torch.no_grad():
        model.weight.fill_(value)


def test_the_average_is_that_of_the_closed_form() -> None:
    model = nn.Linear(1, 1)
    moved(model, 1.0)
    learner = AveragedLearner(model, 0.0, 0.0, nn.Identity(), 0.25)
    values = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0]
    for step, value in enumerate(values):
        moved(model, value)
        learner.after_update(Moment(step, 40))
    kept = 1 - 1 / (0.25 * 40)
    wanted = kept**6 + (1 - kept) * sum(value * kept ** (5 - step) for step, value in enumerate(values))
    assert learner.shipped.weight.item() == pytest.approx(wanted, rel=1e-6)
    assert model.weight.item() == values[-1]


def test_without_reach_the_model_is_shipped_and_nothing_beside_it_is_weighed() -> None:
    learner = AveragedLearner(model := nn.Linear(1, 1), 0.0, 0.0, nn.Identity(), 0.0)
    learner.after_update(Moment(0, 40))
    assert learner.shipped is model
    assert not learner.references


def test_the_average_goes_back_as_far_as_the_papers() -> None:
    assert decay(0.09, 5) == 0.0  # one step at the least
    assert decay(0.09, 109_000) == pytest.approx(0.9999, abs=1e-5)  # of 350 epochs in batches of 4,096


def test_the_rate_falls_as_the_cosine_does() -> None:
    shares = [cosine(index, 100, 1 - index / 100) for index in range(100)]
    assert shares[0] == pytest.approx(0.1, rel=1e-3)
    assert max(shares) == shares[10] == pytest.approx(1.0, abs=1e-3)
    for index in range(10, 100):
        assert shares[index] == pytest.approx((1 + math.cos(math.pi * (index - 10) / 90)) / 2, abs=1e-9)


def test_dropped_blocks_are_linear_in_depth_and_the_exam_drops_none(classification: Make) -> None:
    method = ResNetRS(scaling="reversed")
    task = classification()
    assert method.deep(task)
    torch.manual_seed(0)
    net = method.net(task, 8)
    blocks = [*net.layer1, *net.layer2, *net.layer3]
    rates = [block.drop_path.drop_prob if block.drop_path else 0.0 for block in blocks]
    assert rates == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])
    assert net.drop_rate == 0.25
    images = torch.randn(32, 3, 16, 16)
    net.eval()
    assert torch.equal(net(images), net(images))
    net.train()
    assert not torch.equal(net(images), net(images))


def test_every_block_has_excitation_and_every_shortcut_that_halves_an_average(classification: Make) -> None:
    task = classification()
    net = ResNetRS().net(task, 16)
    squeezed = [each for each in net.modules() if isinstance(each, SEModule)]
    assert len(squeezed) == 3
    assert [each.fc1.out_channels for each in squeezed] == [8, 8, 16]  # a quarter, in steps of 8
    assert [type(stage[0].downsample[0]) for stage in (net.layer2, net.layer3)] == [nn.AvgPool2d] * 2
    assert not any(isinstance(each, nn.MaxPool2d) for each in net.modules())
    assert sum(isinstance(each, nn.Conv2d) for each in net.conv1.modules()) == 3
    assert not any(isinstance(each, SEModule) for each in ResNetRS(excitation=0.0).net(task, 16).modules())


def test_depth_where_the_images_are_seen_often_and_width_otherwise(classification: Make) -> None:
    few = classification("small-data", passes=60 * 15)
    seldom = classification("small-data", passes=60 * 15 - 1)
    assert ResNetRS().deep(few)
    assert not ResNetRS().deep(seldom)
    assert not ResNetRS(scaling="reversed").deep(few)
    assert not ResNetRS(scaling="width").deep(few)
    wide, deep = (ResNetRS().net(task, 8) for task in (seldom, few))
    assert [len(stage) for stage in (wide.layer1, wide.layer2, wide.layer3)] == [1, 1, 1]
    assert [len(stage) for stage in (deep.layer1, deep.layer2, deep.layer3)] == [2, 2, 2]


def test_training_distorts_each_image_smooths_anneals_and_ships_the_average(
    classification: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    strengths, shares = [], []
    forward = v2.RandAugment.forward
    monkeypatch.setattr(
        v2.RandAugment, "forward", lambda self, *given: strengths.append(self.magnitude) or forward(self, *given)
    )
    monkeypatch.setattr(resnet_rs, "cosine", lambda *given: shares.append(cosine(*given)) or shares[-1])
    task = classification(flops=FLOPS, passes=192)
    built = ResNetRS().build(task)
    assert strengths == [10] * 192
    assert len(shares) == 3
    learner = built.rig.learner
    assert (learner.smoothing, learner.weight_decay) == (0.1, 0.02)
    assert built.candidate is learner.average.module
    assert FLOPS / 2 < task.weigh(built)["flops"] <= FLOPS
    batch = task.validation()[0]
    assert torch.equal(learner.validation(batch), plain_loss(built.candidate, batch))


def plain_loss(model: nn.Module, batch: ImageBatch) -> Tensor:
    return nn.functional.cross_entropy(model(batch.inputs), batch.labels)


def test_without_all_its_parts_it_is_the_plain_resnet(classification: Make) -> None:
    parts = {**ResNetRS.variants["network"], **ResNetRS.variants["training"]}
    assert parts.keys() <= {each.name for each in fields(ResNetRS)}
    bare = ResNetRS(**parts).build(classification(flops=FLOPS, passes=192))
    plain = PlainResNet().build(classification(flops=FLOPS, passes=192))
    for one, other in zip(bare.candidate.parameters(), plain.candidate.parameters(), strict=True):
        assert torch.equal(one, other)
