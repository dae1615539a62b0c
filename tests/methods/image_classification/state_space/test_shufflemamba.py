"""ShuffleMamba: the scan, the shuffle, how often."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods.image_classification.state_space import _vim
from methods.image_classification.state_space._scan import selective_scan
from methods.image_classification.state_space._vim import LAYERS, Direction, VisionMamba, in_random_order, rising
from methods.image_classification.state_space.shufflemamba import ShuffleMamba
from methods.image_classification.state_space.vision_mamba import PlainVisionMamba
from tests.methods.image_classification.conftest import Make

NEVER = rising(0)


def small(shuffle: tuple[float, ...], drop_path: tuple[float, ...] = NEVER) -> VisionMamba:
    torch.manual_seed(0)
    return VisionMamba(10, 8, 16, shuffle, drop_path)


class PerToken(nn.Module):
    """Does not mind the order: every token is by itself."""

    def forward(self, found: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        return found.sin(), residual + found


class Running(nn.Module):
    """Minds the order: every token gets the sum of those before it."""

    def forward(self, found: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        return found.cumsum(1), residual


def test_the_scan_is_a_state_that_decays_and_is_fed() -> None:
    torch.manual_seed(0)
    inputs, steps = torch.randn(5, 2, 3), torch.rand(5, 2, 3)
    rates, into, out_of = -torch.rand(4, 3), torch.randn(5, 2, 4), torch.randn(5, 2, 4)
    given = [each.double().requires_grad_() for each in (inputs, steps, rates, into, out_of)]
    found = selective_scan(*given)
    inputs, steps, rates, into, out_of = given
    state = torch.zeros(2, 4, 3).double()
    for now in range(5):
        decay = torch.exp(steps[now][:, None] * rates)
        state = decay * state + into[now][:, :, None] * (steps[now] * inputs[now])[:, None]
        assert torch.allclose(found[now], (out_of[now][:, :, None] * state).sum(1))
    assert torch.autograd.gradcheck(selective_scan, given)


@torch.no_grad()
def test_a_token_knows_those_before_it_alone() -> None:
    direction = Direction(6, 2)
    tokens = torch.randn(1, 7, 6)
    other = tokens.clone()
    other[:, 4] += 1
    moved = (direction(tokens) - direction(other)).abs().amax((0, 2)) > 1e-7
    assert moved.tolist() == [False] * 4 + [True] * 3


def test_a_block_that_minds_no_order_gives_the_same_to_the_bit() -> None:
    """Both streams go there and back by one order."""
    found, residual = torch.randn(2, 3, 9, 4)
    for _ in range(5):
        there, back = in_random_order(PerToken(), found, residual)
        assert torch.equal(there, found.sin())
        assert torch.equal(back, residual + found)


def test_the_order_is_random_and_the_same_for_all_images() -> None:
    tokens = torch.randn(1, 9, 4).expand(3, -1, -1)
    sums = [in_random_order(Running(), tokens, tokens)[0] for _ in range(5)]
    assert all(torch.equal(each[0], each[1]) and torch.equal(each[0], each[2]) for each in sums)
    assert len({each.sum().item() for each in sums}) > 1
    assert any((each[0, 0] != tokens[0, 0]).any() for each in sums)  # the first too


@pytest.mark.parametrize("most", [0.5, 1.0])
def test_layers_are_shuffled_as_often_as_the_ramp_says(most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(rising(most))
    model.blocks = nn.ModuleList(PerToken() for _ in range(LAYERS))
    counts = dict.fromkeys(map(id, model.blocks), 0)
    original = _vim.in_random_order

    def spy(block: nn.Module, found: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        counts[id(block)] += 1
        return original(block, found, residual)

    monkeypatch.setattr(_vim, "in_random_order", spy)
    images, times = torch.randn(1, 3, 16, 16), 400
    for _ in range(times):
        model(images)
    shares = np.array(list(counts.values())) / times
    assert shares[0] == 0
    assert shares == pytest.approx(most * np.arange(LAYERS) / (LAYERS - 1), abs=0.08)
    assert most < 1 or shares[-1] == 1


def test_a_shuffled_model_is_the_plain_one_in_use() -> None:
    images = torch.randn(4, 3, 16, 16)
    always = (1.0,) * LAYERS
    shuffled, plain = small(always), small(NEVER)
    assert not torch.allclose(shuffled(images), plain(images), atol=1e-5)
    state = torch.get_rng_state()
    assert torch.equal(shuffled.eval()(images), plain.eval()(images))
    assert torch.equal(torch.get_rng_state(), state)


def test_never_shuffled_it_is_vision_mamba(classification: Make) -> None:
    built = ShuffleMamba(shuffle=0.0, width=8).build(classification(passes=256))
    plain = PlainVisionMamba(width=8).build(classification(passes=256))
    for one, other in zip(built.candidate.parameters(), plain.candidate.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("method", "shuffle", "drop_path"),
    [
        (ShuffleMamba(width=8), rising(0.5), NEVER),
        (PlainVisionMamba(width=8), NEVER, NEVER),
        (PlainVisionMamba(width=8, drop_path=0.2), NEVER, rising(0.2)),
        (PlainVisionMamba(width=8, shuffle=0.25), (0.25,) * LAYERS, NEVER),
    ],
    ids=["shufflemamba", "plain", "drop-path", "constant"],
)
def test_build_trains_with_its_own_regularisation(
    classification: Make,
    method: ShuffleMamba,
    shuffle: tuple[float, ...],
    drop_path: tuple[float, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shuffled = []
    original = _vim.in_random_order
    monkeypatch.setattr(_vim, "in_random_order", lambda *given: shuffled.append(given[0]) or original(*given))
    task = classification(passes=640)
    assert method.supports(task) is None
    built = method.build(task)
    assert built.candidate.shuffle == pytest.approx(shuffle)
    assert [block.drop_path.drop_prob for block in built.candidate.blocks] == pytest.approx(drop_path)
    assert bool(shuffled) == any(shuffle)
    assert (built.candidate.blocks[0] in shuffled) == (shuffle[0] > 0)
    assert "flops is still" in str(method.supports(classification(flops=1e4)))
