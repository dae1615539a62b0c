"""FMix: the noise, the masks, and that a training goes by them."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from methods.image_classification.augmentation import fmix
from methods.image_classification.augmentation._mixing import MixingLearner
from methods.image_classification.augmentation.fmix import FMix, FourierMix, brightest, low_frequencies
from suites._vision.learning import ImageBatch
from tests.methods.image_classification.augmentation.test_mixing import Flat
from tests.methods.image_classification.conftest import Make

SIZE, DECAY = 32, 3.0


def mean_power() -> torch.Tensor:
    """(SIZE, SIZE) by frequency, over many noises."""
    torch.manual_seed(0)
    noises = torch.stack([low_frequencies(SIZE, DECAY) for _ in range(1_500)])
    return torch.fft.fft2(noises).abs().square().mean(0)


def test_power_is_equal_along_both_axes_and_falls_with_the_sixth_power() -> None:
    power = mean_power()
    along_rows, along_columns = power[1 : SIZE // 2, 0], power[0, 1 : SIZE // 2]
    assert torch.allclose(along_rows, along_columns, rtol=0.25)
    diagonal = power[torch.arange(1, SIZE // 2), torch.arange(1, SIZE // 2)]
    frequencies = torch.arange(1, SIZE // 2) / SIZE
    for line, steps in ((along_rows, 1.0), (along_columns, 1.0), (diagonal, 2**0.5)):
        slope, at_one = np.polyfit((frequencies * steps).log().numpy(), line.log().numpy(), 1)
        assert slope == pytest.approx(-2 * DECAY, abs=0.05)
        assert at_one == pytest.approx(2 * np.log(SIZE), abs=0.25)  # white noise: SIZE squared, in every direction


def test_the_lowest_frequency_bounds_the_mean() -> None:
    assert mean_power()[0, 0] == pytest.approx(SIZE**2 * SIZE ** (2 * DECAY), rel=0.2)


@pytest.mark.parametrize("share", [0.0, 0.1003, 0.5, 0.77777, 1.0])
def test_a_mask_has_its_share_to_a_pixel(share: float) -> None:
    torch.manual_seed(1)
    grey = low_frequencies(SIZE, DECAY)
    means = [float(brightest(grey, share).mean()) for _ in range(20)]
    assert max(abs(mean - share) for mean in means) < 1 / SIZE**2
    exact = share * SIZE**2
    assert len(set(means)) == (1 if exact == int(exact) else 2)  # up and down, by a coin
    mask = brightest(grey, share)
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    if 0 < share < 1:
        assert grey[mask > 0].min() > grey[mask == 0].max()


def test_patches_are_few() -> None:
    """Of white noise every second neighbour is across a border."""
    torch.manual_seed(2)
    masks = torch.stack([brightest(low_frequencies(SIZE, DECAY), 0.5) for _ in range(50)])
    assert (masks[:, 1:] != masks[:, :-1]).float().mean() < 0.1
    assert (masks[:, :, 1:] != masks[:, :, :-1]).float().mean() < 0.1


def test_a_share_of_one_is_the_image_and_a_mix_with_oneself_is_too() -> None:
    mix = FourierMix(10, 1.0, DECAY)
    inputs, labels = torch.randn(6, 3, 16, 16), torch.arange(6)
    whole, shares = mix.mixed(inputs, labels, 1.0, labels.roll(1))
    assert torch.equal(whole, inputs)
    assert torch.equal(shares.argmax(-1), labels)
    same, own = mix.mixed(inputs, labels, 0.3, labels)
    assert torch.equal(same, inputs)
    assert torch.allclose(own, shares)


def test_the_loss_is_shared_as_the_pixels_are() -> None:
    mix, share = FourierMix(10, 1.0, DECAY), 0.3
    generator = torch.Generator().manual_seed(0)
    batch = ImageBatch(torch.randint(256, (6, 3, 16, 16), dtype=torch.uint8, generator=generator), torch.arange(6))
    partners = torch.tensor([3, 0, 5, 1, 2, 4])
    inputs, shares = mix.mixed(batch.inputs, batch.labels, share, partners)
    kept = (inputs == batch.inputs).float().mean()
    assert kept == pytest.approx(share, abs=0.03)
    losses = [cross_entropy(Flat()(inputs), labels) for labels in (batch.labels, batch.labels[partners])]
    assert torch.allclose(cross_entropy(Flat()(inputs), shares), share * losses[0] + (1 - share) * losses[1], atol=1e-5)
    learner = MixingLearner(Flat(), mix, 0.0)
    assert torch.allclose(learner.validation(batch), cross_entropy(Flat()(batch.inputs), batch.labels))


def test_training_draws_one_mask_a_batch_and_another_decay_trains_otherwise(
    classification: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(fmix, "brightest", lambda *given: calls.append(given[1]) or brightest(*given))
    smooth = FMix().build(classification(passes=192))
    assert len(set(calls)) == 3  # each with a share of its own
    rough = FMix(decay=0.0).build(classification(passes=192))
    assert not torch.equal(smooth.candidate.fc.weight, rough.candidate.fc.weight)
