"""The controls: what they compute, and what they look at."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from methods.audio_separation._masking import MaskedSeparator
from methods.audio_separation.baseline._tasnet import ConvMasks, CumulativeNorm, conv_tasnet
from methods.audio_separation.baseline.conv_tasnet import ConvTasNet
from methods.audio_separation.baseline.mixture import Mixture
from suites.audio_separation.task import SeparationTask

Make = Callable[..., SeparationTask]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


class Ones(nn.Module):
    def forward(self, frames: Tensor) -> Tensor:
        return torch.ones_like(frames)[:, None].expand(-1, 2, -1, -1)


@torch.no_grad()
@pytest.mark.parametrize("samples", [160, 161, 175, 8])
def test_every_sample_goes_through_two_frames_and_none_is_lost(samples: int) -> None:
    model = MaskedSeparator(Ones(), 32, 16)
    signed = torch.cat([torch.eye(16), -torch.eye(16)])[:, None]
    model.encoder.weight.copy_(signed)
    model.decoder.weight.copy_(signed / 2)
    mixes = torch.randn(3, samples)
    assert torch.allclose(model(mixes), mixes[:, None].expand(-1, 2, -1), atol=1e-6)


@torch.no_grad()
def test_a_cumulative_norm_has_heard_all_at_the_end_and_nothing_ahead() -> None:
    norm, whole = CumulativeNorm(6), nn.GroupNorm(1, 6, eps=1e-8)
    x = torch.randn(2, 6, 50)
    assert torch.allclose(norm(x)[..., -1], whole(x)[..., -1], atol=1e-5)
    assert torch.allclose(norm(x[..., :20]), norm(x)[..., :20], atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_only_the_causal_one_does_without_what_comes(causal: bool) -> None:
    model = conv_tasnet(4, 3, 2, 16, causal)
    mixes = torch.randn(1, 800)
    other = mixes.clone()
    other[:, 400:] = torch.randn(400)
    moved = (model(mixes) - model(other)).abs().amax((0, 1)) > 1e-6
    first = int(moved.nonzero().min())
    assert (first > 400 - 16) == causal


@torch.no_grad()
def test_it_is_torchaudios_network() -> None:
    spec = importlib.util.find_spec("torchaudio")  # by file, as the wheel does not load where there is no CUDA
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("torchaudio is not installed")
    path = Path(spec.submodule_search_locations[0]) / "models" / "conv_tasnet.py"
    loaded = importlib.util.spec_from_file_location("_conv_tasnet", path)
    assert loaded is not None
    assert loaded.loader is not None
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    theirs = module.MaskGenerator(12, 2, 3, 4, 10, 3, 2, "sigmoid")
    ours = ConvMasks(12, 4, 10, 3, 2, causal=False)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        mine.copy_(other)
    frames = torch.randn(2, 12, 60)
    assert torch.allclose(ours(frames), theirs(frames), atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_conv_tasnet_is_trained_and_as_wide_as_the_limits_leave(separation: Make, causal: bool) -> None:
    task, method = separation(parameters=9_000), ConvTasNet(causal=causal)
    assert method.supports(task) is None
    model = method.build(task).candidate
    width = model.encoder.out_channels // 4
    assert task.weigh(model)["parameters"] <= 9_000 < task.weigh(method._model(width + 1))["parameters"]
    assert any(isinstance(each, CumulativeNorm) for each in model.modules()) == causal
    torch.manual_seed(task.seed)
    for (name, before), after in zip(method._model(width).named_parameters(), model.parameters(), strict=True):
        assert not torch.equal(before, after), name
    assert "parameters is still" in str(method.supports(separation(parameters=10)))


@pytest.mark.parametrize("point", ["params-50k", "flops-48m"])
def test_the_baseline_is_the_same_at_every_point(separation: Make, point: str) -> None:
    """So that ratios are to one model."""
    task = separation(point, passes=4)
    assert task.limits.met_by(task.weigh(ConvTasNet()._model(ConvTasNet().width)))
    assert ConvTasNet().build(task).candidate.encoder.out_channels == 4 * ConvTasNet().width


def test_the_mixture_gives_the_mix_twice(separation: Make) -> None:
    mixes = torch.randn(2, 900)
    found = Mixture().build(separation())(mixes)
    assert torch.equal(found, torch.stack([mixes, mixes], 1) / 2)
