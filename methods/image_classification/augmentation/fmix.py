"""FMix: Enhancing Mixed Sample Data Augmentation (Harris et al., 2020), https://arxiv.org/abs/2002.12047."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from bench.contract import Built, Card, Claim, Method
from methods.image_classification._training import fit
from methods.image_classification.augmentation._mixing import MixingLearner
from methods.image_classification.baseline.resnet import plain_resnet, too_large
from suites.image_classification.task import ClassificationTask


def low_frequencies(size: int, decay: float) -> Tensor:
    """A random grey image (size, size) whose amplitudes fall with the frequency to the power `decay`, the same in all
    directions. White noise has the Gaussian spectrum that a real image must have."""
    vertical, horizontal = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)
    frequencies = torch.hypot(vertical, horizontal).clamp(min=1 / size)
    return torch.fft.irfft2(torch.fft.rfft2(torch.randn(size, size)) / frequencies**decay, s=(size, size))


def brightest(grey: Tensor, share: float) -> Tensor:
    """1 where the grey image is among its `share` brightest pixels, else 0; a part of a pixel is one by a coin's toss,
    or none."""
    exact = share * grey.numel()
    count = math.ceil(exact) if torch.rand(()) < 0.5 else math.floor(exact)
    mask = torch.zeros_like(grey)
    mask.view(-1)[grey.flatten().topk(count).indices] = 1.0
    return mask


class FourierMix(nn.Module):
    """Mixes each image of a batch with another by one mask; labels (n,) become shares of classes (n, classes).

    alpha: of the Beta distribution of the share that an image keeps. decay: of the mask's frequencies.
    """

    def __init__(self, classes: int, alpha: float, decay: float) -> None:
        super().__init__()
        self.classes, self.alpha, self.decay = classes, alpha, decay

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        share = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        return self.mixed(inputs, labels, share, torch.randperm(len(labels)).to(labels.device))

    def mixed(self, inputs: Tensor, labels: Tensor, share: float, partners: Tensor) -> tuple[Tensor, Tensor]:
        """Each image keeps `share` of its pixels and has the others of its partner's, by its number (n,)."""
        mask = brightest(low_frequencies(inputs.shape[-1], self.decay), share).to(inputs.device)
        own = one_hot(labels, self.classes).float()
        return torch.where(mask > 0, inputs, inputs[partners]), torch.lerp(own[partners], own, share)


@dataclass(frozen=True)
class FMix(Method[ClassificationTask]):
    """Part of each image is another's, and that share of the label. The part is where noise of low frequencies is
    bright: a few smooth patches of any shape, where CutMix has one rectangle. Else the plain ResNet.

    alpha, decay: the paper's. width, rate, weight_decay: as of the plain ResNet.
    """

    card = Card(
        slug="fmix",
        title="FMix",
        paper="Harris et al., 2020. FMix: Enhancing Mixed Sample Data Augmentation",
        url="https://arxiv.org/abs/2002.12047",
        stochastic=True,
        claims=(
            Claim(
                text="Mixing by masks of any shape makes a net better than no mixing",
                source="results table of the authors' repository",
                metric="top1",
                versus="resnet",
                points=("macs-12m", "small-data"),
                paper_value="ImageNet, ResNet-101: 76.72 against 76.51; CIFAR-10, PyramidNet: 98.64 against 98.31",
            ),
            Claim(
                text="It is better than MixUp, which changes what a net learns",
                source="abstract; results table of the authors' repository",
                metric="top1",
                versus="mixup",
                points=("macs-12m", "small-data"),
                paper_value="ImageNet, ResNet-101: 76.72 against 76.27; CIFAR-10, PyramidNet: 98.64 against 97.92",
            ),
            Claim(
                text="Masks of any shape are better than CutMix's rectangles",
                source="abstract",
                metric="top1",
                versus="cutmix",
                points=("macs-12m", "small-data"),
            ),
        ),
        differences=(
            (
                "The mask has the same spectrum in all directions; the authors' code takes rows of it for real and "
                "imaginary parts, so that hardly any frequency is left along one axis."
            ),
            "AdamW and few epochs as of the plain ResNet, where the paper has SGD for 200.",
        ),
    )

    alpha: float = 1.0
    decay: float = 3.0
    width: int = 28
    rate: float = 3e-3
    weight_decay: float = 0.05

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task)

    def build(self, task: ClassificationTask) -> Built:
        mix = FourierMix(task.classes, self.alpha, self.decay)
        model = plain_resnet(task, self.width)
        return fit(task, lambda: MixingLearner(model(), mix, self.weight_decay), self.rate)
