"""ClST: its convolutional projection, its two kinds of attention side by side, its hierarchy, and that it is built."""

import pytest
import torch
from torch import nn

from methods.signal_recognition.transformer.clst import ConvolutionLinkedSignalTransformer
from suites.signal_recognition.clst import Block, ClST, ConvolutionalProjection, ParallelAttention
from tests.methods.signal_recognition.conftest import Make


def tokens(n: int = 2, width: int = 8, length: int = 12) -> torch.Tensor:
    return torch.randn(n, width, length, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@torch.no_grad()
def test_a_projection_of_kernel_1_is_that_of_plain_attention() -> None:
    projection = ConvolutionalProjection(8, kernel=1)
    linear = nn.Linear(8, 8, bias=False)
    linear.weight.copy_(projection.pointwise.weight[:, :, 0])
    assert torch.allclose(projection(tokens()), linear(tokens().transpose(1, 2)).transpose(1, 2), atol=1e-6)


@torch.no_grad()
def test_a_projection_looks_at_neighbours_in_time_each_channel_by_itself_first() -> None:
    projection = ConvolutionalProjection(8, kernel=3).eval()
    moved = tokens()
    moved[:, 3, 6] += 1.0
    change = (projection(moved) - projection(tokens())).abs().amax((0, 1))
    assert (change > 1e-6).nonzero().flatten().tolist() == [5, 6, 7]
    depthwise = (projection.depthwise(moved) - projection.depthwise(tokens())).abs().amax((0, 2))
    assert (depthwise > 1e-6).nonzero().flatten().tolist() == [3]


@torch.no_grad()
@pytest.mark.parametrize(("spatial", "channel"), [(True, True), (True, False), (False, True)])
def test_attention_is_that_of_brute_force(spatial: bool, channel: bool) -> None:
    attention = ParallelAttention(8, 2, spatial=spatial, channel=channel).eval()
    if channel:
        attention.temperature.copy_(torch.tensor([1.5, 0.5])[:, None, None])
    q, k, v = (each(tokens())[1] for each in (attention.query, attention.key, attention.value))
    wanted = torch.zeros(8, 12)
    for head in range(2):
        rows = slice(4 * head, 4 * head + 4)
        if spatial:  # for each token a mean of the values at all tokens
            for one in range(12):
                weights = torch.stack([(q[rows, one] * k[rows, other]).sum() / 4**0.5 for other in range(12)])
                wanted[rows, one] += (v[rows] * weights.softmax(0)).sum(1)
        if channel:  # for each channel a mean of the values of the head's channels
            for one in range(4 * head, 4 * head + 4):
                alike = torch.stack([nn.functional.cosine_similarity(q[one], k[other], 0) for other in range(8)[rows]])
                weights = (alike * attention.temperature[head, 0, 0]).softmax(0)
                wanted[one] += (v[rows] * weights[:, None]).sum(0)
    assert torch.allclose(attention(tokens())[1], attention.project(wanted[None])[0], atol=1e-5)


@torch.no_grad()
def test_side_by_side_is_the_sum_of_both_and_neither_sees_the_other() -> None:
    both = ParallelAttention(8, 2).eval()
    parts = []
    for spatial in (True, False):
        alone = ParallelAttention(8, 2, spatial=spatial, channel=not spatial).eval()
        alone.load_state_dict(both.state_dict(), strict=False)
        parts.append(alone(tokens()))
    bias = both.project.bias[:, None]
    assert torch.allclose(both(tokens()), parts[0] + parts[1] - bias, atol=1e-5)
    assert (parts[0] - parts[1]).abs().max() > 0.01


def test_neither_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="spatial False, channel False"):
        ParallelAttention(8, 2, spatial=False, channel=False)
    with pytest.raises(ValueError, match="3 heads of 8 channels"):
        ParallelAttention(8, 3)


@torch.no_grad()
def test_stages_have_fewer_and_wider_tokens() -> None:
    model, seen = ClST(11, 8).eval(), []
    for module in model.modules():
        if isinstance(module, Block):
            module.register_forward_hook(lambda _, given, out: seen.append(tuple(given[0].shape)))
    assert model(torch.randn(3, 2, 128)).shape == (3, 11)
    assert seen == [(3, 8, 64), (3, 16, 32), (3, 24, 16)]


@torch.no_grad()
def test_a_block_without_its_last_layers_is_the_identity() -> None:
    block = Block(8, ParallelAttention(8, 2)).eval()
    for layer in (block.attention.project, block.feed[2]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    assert torch.equal(block(tokens()), tokens())


def test_all_its_weights_learn() -> None:
    model = ClST(11, 8)
    nn.functional.cross_entropy(model(torch.randn(8, 2, 128)), torch.arange(8)).backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in model.parameters())


def test_build_trains_a_whole_clst_of_the_most_that_the_limits_leave(recognition: Make) -> None:
    task = recognition()
    method = ConvolutionLinkedSignalTransformer()
    assert method.supports(task) is None
    built = method.build(task)
    assert isinstance(built.candidate, ClST)
    attentions = [each for each in built.candidate.modules() if isinstance(each, ParallelAttention)]
    assert len(attentions) == 3
    assert all(each.spatial and each.temperature is not None for each in attentions)
    assert all(len(each.query.depthwise) == 2 for each in attentions)
    assert task.weigh(built)["parameters"] <= 12_000 < task.weigh(ClST(11, 10))["parameters"]
    assert task.left("sample_passes") == 80_000 - 128
    assert "parameters is still" in str(method.supports(recognition(parameters=500)))
