"""MixUp and CutMix."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision.transforms import v2

from methods.image_classification.augmentation._mixing import MixingLearner
from methods.image_classification.augmentation.cutmix import CutMix
from methods.image_classification.augmentation.mixup import MixUp
from suites._vision.learning import ImageBatch
from tests.methods.image_classification.conftest import Make


class Flat(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1)[:, :10]


@pytest.mark.parametrize("mix", [v2.MixUp(alpha=1.0, num_classes=10), v2.CutMix(alpha=1.0, num_classes=10)])
def test_the_loss_is_shared_as_the_images_are(mix: nn.Module) -> None:
    """lam CE(y) + (1 - lam) CE(y of the other)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (6, 3, 16, 16), dtype=torch.uint8, generator=generator)
    batch = ImageBatch(images, torch.arange(6))
    learner = MixingLearner(Flat(), mix, 0.0)
    torch.manual_seed(3)
    loss = learner.loss(batch)
    torch.manual_seed(3)
    inputs, shares = mix(batch.inputs, batch.labels)
    assert torch.allclose(shares.sum(-1), torch.ones(6))
    lam = shares[0, 0]
    mine = cross_entropy(Flat()(inputs), batch.labels)
    others = cross_entropy(Flat()(inputs), batch.labels.roll(1))
    assert torch.allclose(loss, lam * mine + (1 - lam) * others, atol=1e-5)
    assert torch.allclose(learner.validation(batch), cross_entropy(Flat()(batch.inputs), batch.labels))


@pytest.mark.parametrize("method", [MixUp(alpha=0.7), CutMix(alpha=0.7)], ids=["mixup", "cutmix"])
def test_training_uses_the_mixing(classification: Make, method: MixUp, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, alphas = [], []
    kind = getattr(v2, type(method).__name__)
    original, start = kind.forward, kind.__init__
    monkeypatch.setattr(kind, "__init__", lambda self, **given: alphas.append(given["alpha"]) or start(self, **given))
    monkeypatch.setattr(kind, "forward", lambda self, *given: calls.append(1) or original(self, *given))
    built = method.build(classification(passes=192))
    assert len(calls) == 3
    assert alphas == [0.7]
    assert built.figures["learning_rate"] == method.rate
