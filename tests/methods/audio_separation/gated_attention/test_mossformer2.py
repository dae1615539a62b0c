"""MossFormer2: what attention and memory compute, and that `build` uses both."""

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from methods.audio_separation.gated_attention._attention import (
    GatedAttention,
    ScaleNorm,
    attend,
    rotated,
    shift_half,
)
from methods.audio_separation.gated_attention._memory import DenseMemory, GatedMemory
from methods.audio_separation.gated_attention._network import GatedMasks, gated_separator
from methods.audio_separation.gated_attention.mossformer import MossFormer
from methods.audio_separation.gated_attention.mossformer2 import MossFormer2
from suites.audio_separation.task import SeparationTask

Make = Callable[..., SeparationTask]
SMALL = {"group": 16, "size": 8, "length": 32}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def drawn(frames: int, size: int = 6, numbers: int = 4) -> list[Tensor]:
    """Near and far queries and keys, values; 64 bits."""
    return [torch.randn(2, frames, size, dtype=torch.float64) for _ in range(4)] + [
        torch.randn(2, frames, numbers, dtype=torch.float64)
    ]


def by_hand(near_q: Tensor, near_k: Tensor, far_q: Tensor, far_k: Tensor, values: Tensor, group: int) -> Tensor:
    """Pair by pair."""
    frames = values.shape[1]
    out = torch.zeros_like(values)
    for i in range(frames):
        for j in range(frames):
            weight = (far_q[:, i] * far_k[:, j]).sum(-1) / frames
            if i // group == j // group:
                weight = weight + ((near_q[:, i] * near_k[:, j]).sum(-1) / group).clamp(min=0) ** 2
            out[:, i] += weight[:, None] * values[:, j]
    return out


def test_one_group_is_dense_attention_and_linear_attention() -> None:
    near_q, near_k, far_q, far_k, values = drawn(8)
    found = attend(near_q, near_k, far_q, far_k, values, 8)
    dense = (near_q @ near_k.transpose(1, 2) / 8).relu() ** 2 @ values
    assert torch.allclose(found, dense + far_q @ far_k.transpose(1, 2) @ values / 8)


@pytest.mark.parametrize("frames", [3, 8, 12, 16, 21])
def test_groups_attend_within_and_whatever_fills_the_last_one_changes_nothing(frames: int) -> None:
    inputs = drawn(frames)
    assert torch.allclose(attend(*inputs, 8), by_hand(*inputs, 8))


def test_a_number_of_a_query_is_turned_by_its_place() -> None:
    q, k = (torch.randn(1, 1, 40, dtype=torch.float64).expand(1, 30, 40) for _ in range(2))
    products = rotated(q) @ rotated(k).transpose(1, 2)
    assert torch.allclose(products[0, 3, 7], products[0, 13, 17])
    assert not torch.allclose(products[0, 3, 7], products[0, 3, 8])
    assert torch.equal(rotated(q)[..., 32:], q[..., 32:])
    assert torch.allclose(rotated(q).norm(dim=-1), q.norm(dim=-1))


def test_half_of_the_channels_come_a_frame_late() -> None:
    x = torch.randn(2, 5, 6)
    found = shift_half(x)
    assert torch.equal(found[..., 3:], x[..., 3:])
    assert torch.equal(found[:, 1:, :3], x[:, :-1, :3])
    assert not found[:, 0, :3].any()


def test_the_norm_is_of_the_root_mean_square() -> None:
    found = ScaleNorm()(torch.randn(2, 3, 8) * 5)
    assert torch.allclose(found.square().mean(-1), torch.ones(2, 3), atol=1e-5)


@torch.no_grad()
def test_both_gates_are_attended_and_each_gates_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    block = GatedAttention(6, group=4, size=8)
    x = torch.randn(2, 10, 6)
    shifted = shift_half(x)
    v, u = block.hidden(shifted).chunk(2, dim=-1)
    assert v.shape == (2, 10, 12)
    heads = [rotated(block.shared(shifted) * a + b) for a, b in zip(block.scale, block.offset, strict=True)]
    queries = heads[0], heads[2], heads[1], heads[3]
    over_v, over_u = (by_hand(*(each.double() for each in (*queries, values)), 4).float() for values in (v, u))
    wanted = x + block.out(over_u * v * torch.sigmoid(over_v * u))
    assert torch.allclose(block(x), wanted, atol=1e-5)


def unnormed(memory: DenseMemory) -> DenseMemory:
    """Without what makes each frame hang on all others."""
    for layer in memory.layers:
        layer[1] = nn.Identity()
    return memory.double()


@torch.no_grad()
def test_memory_is_dilated_and_dense_and_each_channel_keeps_its_own() -> None:
    memory = unnormed(DenseMemory(3, reach=4))
    x = torch.randn(2, 3, 40, dtype=torch.float64)
    first, second = memory.layers
    assert [layer[0].dilation for layer in memory.layers] == [(1,), (2,)]
    for channel in range(3):
        own = x[:, channel : channel + 1]
        out = first[2](conv1d(x, first[0].weight, padding=3, groups=3))[:, channel : channel + 1]
        both = torch.cat([out, own], 1)
        wanted = conv1d(both, second[0].weight[channel : channel + 1], padding=6, dilation=2)[:, 0]
        slope = second[2].weight[channel]
        wanted = torch.where(wanted > 0, wanted, slope * wanted)
        assert torch.allclose(memory(x)[:, channel], wanted)


@torch.no_grad()
def test_memory_reaches_as_far_as_both_layers_say() -> None:
    memory = unnormed(DenseMemory(2, reach=20))
    x = torch.randn(1, 2, 200, dtype=torch.float64)
    other = x.clone()
    other[0, 0, 100] += 1
    moved = (memory(x) != memory(other))[0]
    assert not moved[1].any()
    assert (moved[0].nonzero().min(), moved[0].nonzero().max()) == (100 - 19 - 38, 100 + 19 + 38)


@torch.no_grad()
def test_one_branch_is_remembered_and_gated_by_the_other() -> None:
    block = GatedMemory(8, 4)
    x = torch.randn(2, 30, 8)
    hidden = block.narrow(x)
    u, v = block.u(hidden), block.v(hidden)
    remembered = u + block.memory(block.project(u).transpose(1, 2)).transpose(1, 2)
    assert torch.allclose(block(x), x + block.wide(v * remembered + hidden), atol=1e-6)
    block.v.linear.weight.zero_()
    block.v.linear.bias.zero_()
    assert torch.allclose(block(x), x + block.wide(hidden), atol=1e-6)


def test_a_memory_stands_behind_every_attention() -> None:
    kinds = [type(each) for each in gated_separator(8, 3, memory=True, **SMALL).masks.blocks]
    assert kinds == [GatedAttention, GatedMemory] * 3 + [nn.LayerNorm]
    kinds = [type(each) for each in gated_separator(8, 3, memory=False, **SMALL).masks.blocks]
    assert kinds == [GatedAttention] * 3 + [nn.LayerNorm]


@torch.no_grad()
def test_memories_that_say_nothing_leave_mossformer() -> None:
    whole, alone = (gated_separator(8, 2, memory=memory, **SMALL) for memory in (True, False))
    for block in whole.masks.blocks:
        if isinstance(block, GatedMemory):
            block.wide[1].weight.zero_()
            block.wide[1].bias.zero_()
    numbers = [2 * number for number in range(2)] + [4]
    for name, weight in alone.state_dict().items():
        at, rest = (name.removeprefix("masks.blocks.").split(".", 1)) if name.startswith("masks.blocks.") else ("", "")
        source = f"masks.blocks.{numbers[int(at)]}.{rest}" if at else name
        weight.copy_(whole.state_dict()[source])
    mixes = torch.randn(2, 700)
    assert torch.allclose(whole(mixes), alone(mixes), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("samples", [333, 1024, 1500])
def test_a_mix_is_answered_alone_as_beside_others(samples: int) -> None:
    model = gated_separator(8, 1, memory=True, **SMALL).eval()
    mixes = torch.randn(3, samples)
    found = model(mixes)
    assert found.shape == (3, 2, samples)
    assert torch.allclose(model(mixes[1:2]), found[1:2], atol=1e-5)


def test_compute_grows_with_the_length_and_not_with_its_square(separation: Make) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = gated_separator(16, 1, memory=True, **SMALL)
    counts = []
    for samples in (4_096, 8_192):
        with FlopCounterMode(display=False) as counter:
            model(torch.randn(1, samples))
        counts.append(counter.get_total_flops())
    assert counts[1] / counts[0] == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize(("method", "memories"), [(MossFormer2(), 2), (MossFormer(), 0)])
def test_build_trains_both_and_is_as_wide_as_the_limits_leave(
    separation: Make, method: MossFormer2 | MossFormer, memories: int
) -> None:
    task = separation(parameters=12_000)
    assert method.supports(task) is None
    model = method.build(task).candidate
    width = model.encoder.out_channels // 2
    assert task.weigh(model)["parameters"] <= 12_000 < task.weigh(method._model(width + 2))["parameters"]
    assert sum(isinstance(each, GatedAttention) for each in model.modules()) == 2
    assert sum(isinstance(each, GatedMemory) for each in model.modules()) == memories
    torch.manual_seed(task.seed)
    for (name, before), after in zip(method._model(width).named_parameters(), model.parameters(), strict=True):
        assert not torch.equal(before, after), name
    assert "parameters is still" in str(method.supports(separation(parameters=100)))


def test_build_remembers(separation: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task = separation(parameters=12_000)
    mixes = task.validation()[0].mixes
    plain = MossFormer2().build(task).candidate(mixes)
    monkeypatch.setattr(DenseMemory, "forward", lambda self, x: torch.zeros_like(x))
    without = MossFormer2().build(separation(parameters=12_000)).candidate(mixes)
    assert (plain - without).norm() > 0.01 * plain.norm()


def test_without_the_memory_the_width_is_raised_to_as_many_parameters(separation: Make) -> None:
    task = separation(passes=0)
    counts = {}
    for method in (MossFormer2(), MossFormer()):
        model = method._model(method.build(separation(passes=4)).candidate.encoder.out_channels // 2)
        counts[method.card.slug] = (model.encoder.out_channels, task.weigh(model)["parameters"])
    assert counts["mossformer"][0] > counts["mossformer2"][0]
    assert counts["mossformer"][1] == pytest.approx(counts["mossformer2"][1], rel=0.04)


@pytest.fixture
def theirs() -> Iterator[types.ModuleType]:
    """clearvoice's network, without the rest of its package, which loads far more. Its dense memory is laid out as ours
    is: side by side in each channel."""
    spec = importlib.util.find_spec("clearvoice")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("clearvoice is not installed")
    for needed in ("einops", "rotary_embedding_torch", "torchinfo"):
        pytest.importorskip(needed)
    package = types.ModuleType("_theirs")
    package.__path__ = [str(Path(spec.submodule_search_locations[0]) / "models" / "mossformer2_ss")]
    sys.modules["_theirs"] = package
    fsmn = importlib.import_module("_theirs.fsmn")

    def side_by_side(parts: list[Tensor], dim: int) -> Tensor:
        out, seen = parts
        channels = out.shape[1]
        return torch.cat([out.unsqueeze(2), seen.unflatten(1, (channels, -1))], 2).flatten(1, 2)

    fsmn.th = types.SimpleNamespace(cat=side_by_side, unsqueeze=torch.unsqueeze)
    yield importlib.import_module("_theirs.mossformer2")
    for name in [each for each in sys.modules if each.startswith("_theirs")]:
        del sys.modules[name]


@torch.no_grad()
@pytest.mark.parametrize("frames", [100, 300])
def test_it_is_the_public_network(theirs: types.ModuleType, frames: int) -> None:
    their = theirs.MossFormer_MaskNet(512, 512, num_blocks=1, num_spks=2).eval()
    their_weights = [each for each in their.parameters() if each.requires_grad]
    for weight in their_weights:
        weight.add_(0.05 * torch.randn_like(weight) * (weight.ndim < 2))  # what begins at zero or one
    ours = GatedMasks(512, 512, 1, memory=True, group=256, size=128).eval()
    attention, memory, last = ours.blocks
    block = their.mdl.intra_mdl.mossformerM
    flash, fsmn = block.layers[0], block.fsmn[0]
    gated = fsmn.gated_fsmn
    pairs: list[tuple[nn.Module, nn.Module]] = [
        (ours.norm, their.norm), (ours.enter, their.conv1d_encoder), (ours.positions, their.pos_enc),
        (last, their.mdl.intra_mdl.norm), (ours.after, their.mdl.intra_norm), (ours.speakers[0], their.prelu),
        (ours.speakers[1], their.conv1d_out), (ours.value, their.output), (ours.gate, their.output_gate),
        (ours.leave, their.conv1_decoder), (attention.hidden, flash.to_hidden), (attention.shared, flash.to_qk),
        (attention.out, flash.to_out), (memory.narrow[:2], fsmn.conv1), (memory.narrow[2], fsmn.norm1),
        (memory.u, gated.to_u), (memory.v, gated.to_v), (memory.project[0], gated.fsmn.linear),
        (memory.project[2], gated.fsmn.project), (memory.memory, gated.fsmn.conv), (memory.wide[0], fsmn.norm2),
        (memory.wide[1], fsmn.conv2),
    ]  # fmt: skip
    for mine, other in pairs:
        for to, of in zip(mine.parameters(), other.parameters(), strict=True):
            to.copy_(of.reshape(to.shape))
    # Their four rows are: near queries, far queries, near keys, far keys.
    attention.scale.copy_(flash.qk_offset_scale.gamma)
    attention.offset.copy_(flash.qk_offset_scale.beta)
    copied = sum(parameter.numel() for mine, _ in pairs for parameter in mine.parameters()) + 8 * 128
    assert copied == sum(each.numel() for each in ours.parameters()) == sum(each.numel() for each in their_weights)
    x = torch.randn(2, 512, frames).relu()
    assert torch.allclose(ours(x), their(x).transpose(0, 1), atol=1e-4)
