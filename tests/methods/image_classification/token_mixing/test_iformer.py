"""iFormer: its size, what its mixer sees, its ramp."""

from collections.abc import Sequence

import pytest
import torch

from methods.image_classification.token_mixing._inception import InceptionMixer, InceptionTransformer, Stage
from methods.image_classification.token_mixing._small import small_iformer
from methods.image_classification.token_mixing.iformer import RAMP, IFormer
from methods.image_classification.token_mixing.other_mixers import RAMPS, OtherMixers
from tests.methods.image_classification.conftest import Make

CONTROLS = [OtherMixers(mixer) for mixer in ("all-attention", "all-convolution", "reversed-ramp")]


def heads_of(model: InceptionTransformer) -> list[tuple[int, int]]:
    """Channels for high and for low frequencies, of each block."""
    return [tuple(block.mixer.sizes) for stage in model.stages for block in stage.blocks]


def test_iformer_s_is_as_large_as_the_papers() -> None:
    stages = [
        Stage(96, 3, (1,) * 3, pool=2),
        Stage(192, 6, (3,) * 3, pool=2),
        Stage(320, 10, (7,) * 4 + (9,) * 5, scale=1e-6),
        Stage(384, 12, (11,) * 3, scale=1e-6),
    ]
    with torch.device("meta"):
        model = InceptionTransformer(1000, 224, stages)
    assert round(sum(each.numel() for each in model.parameters()) / 1e6, 3) == 19.866


@torch.no_grad()
@pytest.mark.parametrize("pool", [1, 2])
def test_a_far_pixel_moves_low_channels_alone(pool: int) -> None:
    torch.manual_seed(0)
    mixer = InceptionMixer(12, heads=3, low=1, pool=pool)
    assert mixer.sizes == [8, 4]
    maps = torch.randn(1, 12, 8, 8)
    other = maps.clone()
    other[:, :, 7, 7] += 10
    moved = (mixer.mixed(maps) - mixer.mixed(other)).abs()[0, :, 0, 0] > 1e-6
    assert moved.tolist() == [False] * 16 + [True] * 4
    near = maps.clone()
    near[:, :8, 1, 1] += 10
    moved = (mixer.mixed(maps) - mixer.mixed(near)).abs()[0, :, 0, 0] > 1e-6
    assert moved[:16].any()
    assert not moved[16:].any()  # the first channels do not reach attention


@torch.no_grad()
def test_high_channels_are_a_convolution_and_a_max_pool() -> None:
    mixer = InceptionMixer(8, heads=2, low=1, pool=1)
    maps = torch.randn(1, 8, 5, 7)  # neither even nor square
    convolution, pooling = mixer.high.convolution, mixer.high.pooling
    pooled = torch.nn.functional.max_pool2d(maps[:, 2:4], 3, 1, 1)
    wanted = torch.cat([convolution(maps[:, :2]), torch.nn.functional.gelu(pooling[1](pooled))], 1)
    mixed = mixer.mixed(maps)
    assert torch.allclose(mixed[:, :8], wanted, atol=1e-6)
    assert torch.allclose(mixer(maps), mixer.project(mixed + mixer.fuse(mixed)), atol=1e-6)


@torch.no_grad()
def test_attention_sees_a_smaller_map_of_any_size() -> None:
    mixer = InceptionMixer(6, heads=3, low=3, pool=2)
    mixed = mixer.mixed(torch.randn(2, 6, 5, 7))
    assert mixed.shape == (2, 6, 5, 7)
    assert torch.equal(mixed[:, :, 0, 0], mixed[:, :, 1, 1])  # each cell of it is four of the map


@pytest.mark.parametrize("width", [9, 10, 11, 25])
@pytest.mark.parametrize("ramp", [RAMP, *RAMPS.values()])
def test_the_splits_are_whole_and_follow_the_ramp(width: int, ramp: Sequence[float]) -> None:
    model = small_iformer(10, 16, width, ramp)
    widths = [heads * ((width + number) // 3) for number, heads in enumerate((3, 6, 12)) for _ in range(2)]
    sizes = heads_of(model)
    assert [sum(each) for each in sizes] == widths
    shares = [low / (high + low) for high, low in sizes]
    if ramp is RAMP:
        assert shares == pytest.approx(RAMP)
    elif ramp is RAMPS["reversed-ramp"]:
        assert shares == sorted(shares, reverse=True)
        assert min(shares) > 0
        assert max(shares) < 1
    else:
        assert shares == list(ramp)


@pytest.mark.parametrize(("mixer", "lacks"), [("all-attention", "high"), ("all-convolution", "low")])
def test_a_mixer_of_one_kind_has_nothing_of_the_other(mixer: str, lacks: str) -> None:
    mixers = [each for each in small_iformer(10, 16, 9, RAMPS[mixer]).modules() if isinstance(each, InceptionMixer)]
    assert len(mixers) == 6
    assert all((getattr(each, name) is None) == (name == lacks) for each in mixers for name in ("high", "low"))


@pytest.mark.parametrize("method", [IFormer(), *CONTROLS], ids=["iformer", *(each.mixer for each in CONTROLS)])
def test_build_makes_the_widest_of_its_ramp(classification: Make, method: IFormer | OtherMixers) -> None:
    ramp = RAMP if isinstance(method, IFormer) else RAMPS[method.mixer]
    task = classification(flops=6e6, passes=64)
    assert method.supports(task) is None
    built = method.build(task)
    widths = [
        width for width in range(9, 29) if heads_of(small_iformer(10, 16, width, ramp)) == heads_of(built.candidate)
    ]
    assert len(widths) == 1
    assert task.weigh(built)["flops"] <= 6e6
    assert task.weigh(small_iformer(10, 16, widths[0] + 1, ramp))["flops"] > 6e6
    assert "flops is still" in str(method.supports(classification(flops=1e4)))
