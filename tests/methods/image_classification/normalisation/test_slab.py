"""SLAB: its norms, their folding, its attention."""

import pytest
import torch
from torch import nn

from methods.image_classification.normalisation import slab
from methods.image_classification.normalisation._norms import ProgressiveNorm, TokenBatchNorm, foldable_vit, folded
from methods.image_classification.normalisation.slab import (
    ProgressiveLearner,
    SimplifiedLinearAttention,
    Slab,
    linear_attention,
)
from methods.image_classification.normalisation.vit_batchnorm import BatchNormViT
from suites._training.learner import Moment
from tests.methods.image_classification.conftest import Make


def stirred(model: nn.Module) -> nn.Module:
    """With norms as a training leaves them: of some scale, some shift and some statistics."""
    torch.manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, TokenBatchNorm):
            for each in (norm.weight, norm.bias, norm.running_mean, getattr(norm, "slope", None)):
                if each is not None:
                    nn.init.normal_(each)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    return model.eval()


@pytest.mark.parametrize("norm", [ProgressiveNorm, TokenBatchNorm])
@torch.no_grad()
def test_a_folded_model_has_no_norm_and_says_the_same(norm: type[nn.Module]) -> None:
    model = stirred(foldable_vit(10, 16, 16, norm))
    images = torch.randn(3, 3, 16, 16)
    wanted = model(images)
    found = folded(model)
    assert torch.allclose(found(images), wanted, atol=1e-4 * float(wanted.std()))
    assert not [each for each in found.modules() if isinstance(each, (nn.LayerNorm, nn.BatchNorm1d, ProgressiveNorm))]
    assert torch.equal(model(images), wanted)  # the other is as it was


def test_a_norm_is_a_weighted_mean_in_training_and_batch_norm_with_a_slope_at_the_end() -> None:
    norm = ProgressiveNorm(6)
    nn.init.constant_(norm.batch_norm.slope, 0.5)
    tokens = 3 * torch.randn(4, 5, 6) + 1
    layer = nn.functional.layer_norm(tokens, (6,))
    flat = tokens.flatten(0, 1)
    batch = ((flat - flat.mean(0)) / (flat.var(0, unbiased=False) + 1e-5).sqrt()).view_as(tokens) + 0.5 * tokens
    for share in (1.0, 0.3, 0.0):
        norm.share = share
        assert torch.allclose(norm(tokens), share * layer + (1 - share) * batch, atol=1e-5)
    norm.eval()
    norm.share = 1.0  # counts no more
    statistics = norm.batch_norm
    scale = 1 / (statistics.running_var + 1e-5).sqrt()
    assert torch.allclose(norm(tokens), (tokens - statistics.running_mean) * scale + 0.5 * tokens, atol=1e-5)


def test_the_share_of_layer_norm_falls_to_zero_linearly() -> None:
    norm = ProgressiveNorm(4)
    learner = ProgressiveLearner(nn.Sequential(norm), 0.0, decay=0.6)
    shares = []
    for step in range(100):
        learner.before_step(Moment(step, 100, step / 100))
        shares.append(norm.share)
    assert shares[0] == 1.0
    assert shares[30] == pytest.approx(0.5)
    assert shares[60:] == [0.0] * 40
    assert shares[:60] == pytest.approx([1 - step / 60 for step in range(60)])


@pytest.mark.parametrize(("tokens", "size"), [(9, 4), (4, 9)])
def test_attention_is_that_of_all_pairs_in_either_order(tokens: int, size: int) -> None:
    queries, keys, values = torch.rand(3, 2, 2, tokens, size)
    values -= 0.5
    weights = queries @ keys.transpose(-1, -2)
    wanted = weights / weights.sum(-1, keepdim=True) @ values
    assert torch.allclose(linear_attention(queries, keys, values), wanted, atol=1e-4)


def test_a_convolution_of_the_values_is_added_to_the_attention() -> None:
    """Where no query is above zero, the near values alone count."""
    attention = SimplifiedLinearAttention(8, num_heads=2, qkv_bias=True)
    attention.place((3, 4))
    with torch.no_grad():
        attention.qkv.bias[:8] = -100
        attention.proj.weight.copy_(torch.eye(8))
        attention.proj.bias.zero_()
    tokens = torch.randn(2, 12, 8)
    values = attention.qkv(tokens)[..., 16:].view(2, 3, 4, 2, 4)
    near = [attention.local(values[:, :, :, head].permute(0, 3, 1, 2)).permute(0, 2, 3, 1) for head in range(2)]
    assert torch.allclose(attention(tokens), torch.cat(near, -1).flatten(1, 2), atol=1e-5)


@pytest.mark.parametrize("method", [Slab(), Slab(linear=False)], ids=["slab", "prepbn"])
def test_build_trains_with_falling_shares_and_ships_without_norms(
    classification: Make, method: Slab, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    original = ProgressiveNorm.forward

    def spy(norm: ProgressiveNorm, inputs: torch.Tensor) -> torch.Tensor:
        if norm.training:
            shares.append(norm.share)
        return original(norm, inputs)

    monkeypatch.setattr(ProgressiveNorm, "forward", spy)
    task = classification(passes=320)
    built = method.build(task)
    assert shares[0] == 1.0
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0.0
    kinds = {type(each) for each in built.candidate.modules()}
    assert not kinds & {nn.LayerNorm, nn.BatchNorm1d, ProgressiveNorm, TokenBatchNorm}
    assert (slab.SimplifiedLinearAttention in kinds) == method.linear
    images = task.validation()[0].inputs
    assert torch.allclose(built.candidate(images), built.rig.learner.model.eval()(images), atol=1e-3)


def test_the_control_has_batch_norm_from_the_first_step_on(classification: Make) -> None:
    built = BatchNormViT().build(classification(passes=192))
    trained = {type(each) for each in built.rig.learner.model.modules()}
    assert TokenBatchNorm in trained
    assert not trained & {nn.LayerNorm, ProgressiveNorm}
    assert TokenBatchNorm not in {type(each) for each in built.candidate.modules()}


@pytest.mark.parametrize("method", [Slab(), BatchNormViT()], ids=["slab", "vit-batchnorm"])
def test_a_limit_that_is_too_low_is_said(classification: Make, method: Slab) -> None:
    assert "flops is still" in str(method.supports(classification(flops=1e4)))
    assert method.supports(classification()) is None
