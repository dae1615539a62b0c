"""SI-SDR and the better assignment."""

import math

import pytest
import torch

from suites.audio_separation.scores import best_of_both, improvement, si_sdr

torch.manual_seed(0)
TARGETS = torch.randn(3, 2, 400, dtype=torch.float64)
NOISY = TARGETS + 0.3 * torch.randn(3, 2, 400, dtype=torch.float64)


def test_an_orthogonal_error_counts_by_its_power() -> None:
    time = torch.arange(400, dtype=torch.float64) * 2 * math.pi / 400
    tone, error = (5 * time).sin(), 0.1 * (9 * time).sin()
    assert float(si_sdr(tone + error, tone)) == pytest.approx(20.0, abs=1e-6)


def test_neither_loudness_nor_a_constant_matters() -> None:
    plain = si_sdr(NOISY, TARGETS)
    assert torch.allclose(si_sdr(-7 * NOISY + 3, 0.2 * TARGETS - 1), plain, atol=1e-6)
    assert not torch.allclose(si_sdr(NOISY + 0.1 * NOISY.flip(1), TARGETS), plain, atol=0.1)


def test_it_is_what_torchmetrics_says() -> None:
    audio = pytest.importorskip("torchmetrics.functional.audio")
    theirs = audio.scale_invariant_signal_distortion_ratio(NOISY, TARGETS, zero_mean=True)
    assert torch.allclose(si_sdr(NOISY, TARGETS), theirs, atol=1e-4)
    metric, order = audio.permutation_invariant_training(
        NOISY.flip(1), TARGETS, audio.scale_invariant_signal_distortion_ratio, zero_mean=True
    )
    assert torch.allclose(best_of_both(NOISY.flip(1), TARGETS).mean(-1), metric, atol=1e-4)
    assert order.tolist() == [[1, 0]] * 3


def test_either_order_of_speakers_gives_the_same() -> None:
    straight = best_of_both(NOISY, TARGETS)
    assert torch.equal(best_of_both(NOISY.flip(1), TARGETS), straight)
    assert torch.equal(best_of_both(NOISY, TARGETS.flip(1)).flip(1), straight)
    assert torch.equal(straight, si_sdr(NOISY, TARGETS))


def test_one_assignment_holds_for_both_speakers() -> None:
    time = torch.arange(400, dtype=torch.float64) * 2 * math.pi / 400
    one, two, noise = (5 * time).sin(), (9 * time).sin(), (13 * time).sin()
    # The second answer is the better one of either speaker, but it can be given to one of them alone.
    answers = torch.stack([0.3 * one + 0.1 * two + noise, one + 0.5 * two])
    found = best_of_both(answers[None], torch.stack([one, two])[None])[0]
    assert found.tolist() == pytest.approx([20 * math.log10(2), 10 * math.log10(0.01 / 1.09)], abs=1e-5)


def test_the_mix_itself_improves_nothing() -> None:
    mix = TARGETS.sum(1, keepdim=True).expand_as(TARGETS)
    assert torch.allclose(improvement(0.5 * mix, TARGETS), torch.zeros(3, 2, dtype=torch.float64), atol=1e-9)


def test_silence_is_a_finite_loss() -> None:
    silent = torch.zeros(1, 2, 400, requires_grad=True)
    (-best_of_both(silent, TARGETS[:1].float()).mean()).backward()
    assert torch.isfinite(silent.grad).all()
