"""The score is what the paper says, and what it calls useless goes first."""

import pytest
import torch

from methods.lm_compression.layer_dropping._sublayers import Sublayer, drop, sublayers, whole_block
from methods.lm_compression.layer_dropping.attention_drop import AttentionDrop, importance
from tests.methods.lm_compression.compression_toys import text_of

from .conftest import BLOCKS, random_model


def by_hand(model, windows):
    """1 - mean cosine, from the block's parts run one after the other, token by token."""
    sums: dict[tuple[Sublayer, ...], float] = {}
    for window in windows:
        stream = model.model.embed_tokens(window[None])
        rotary = model.model.rotary_emb(stream, torch.arange(len(window))[None])
        for index, block in enumerate(model.model.layers):
            attended, _ = block.self_attn(
                block.input_layernorm(stream), position_embeddings=rotary, attention_mask=None
            )
            between = stream + attended
            out = between + block.mlp(block.post_attention_layernorm(between))
            attention, mlp = whole_block(index)
            for unit, x, y in (
                ((attention,), stream, between),
                ((mlp,), between, out),
                ((attention, mlp), stream, out),
            ):
                for a, b in zip(x[0], y[0], strict=True):
                    sums[unit] = sums.get(unit, 0.0) + float(a @ b / (a.norm() * b.norm()))
            stream = out
    return {unit: 1 - total / windows.numel() for unit, total in sums.items()}


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_importance_equals_a_hand_computation(kind):
    model = random_model(kind)
    windows = torch.randint(1, 61, (3, 12), generator=torch.Generator().manual_seed(1))
    scores = importance(model, windows)
    with torch.no_grad():
        expected = by_hand(model, windows)
    assert scores.keys() == expected.keys()
    assert len(scores) == 3 * BLOCKS
    assert scores == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["attention", "mlp", "block", "joint"])
def test_a_useless_unit_is_dropped_first(kind, make_task):
    model = random_model()
    useless = {
        "attention": [Sublayer(2, "attention")],
        "mlp": [Sublayer(1, "mlp")],
        "block": whole_block(2),
        "joint": [Sublayer(1, "mlp")],
    }[kind]
    with torch.no_grad():
        for index, part in useless:
            block = model.model.layers[index]
            (block.self_attn.o_proj if part == "attention" else block.mlp.down_proj).weight.zero_()
    candidate = AttentionDrop(kind=kind).build(make_task(model, flops_ratio=0.999))
    assert candidate.state_dict().keys() == drop(model, useless).state_dict().keys()
    with torch.no_grad():
        ids = torch.arange(1, 9)[None]
        assert torch.allclose(candidate(ids).logits, model(ids).logits, atol=1e-5)


def test_joint_ranks_attention_and_mlp_together_by_importance(make_task):
    task = make_task(flops_ratio=0.6)
    scores = importance(task.model, text_of(task)[None, :120])
    ranking = sorted(sublayers(task.model), key=lambda sublayer: scores[(sublayer,)])
    candidate = AttentionDrop(samples=1, length=120).build(task)
    kept = candidate.state_dict().keys()
    assert any(kept == drop(task.model, ranking[:n]).state_dict().keys() for n in range(1, len(ranking)))


@pytest.mark.parametrize("kind", ["attention", "mlp"])
def test_a_variant_takes_only_its_kind(kind, make_task):
    task = make_task(flops_ratio=0.85)
    candidate = AttentionDrop(kind=kind).build(task)
    gone = task.model.state_dict().keys() - candidate.state_dict().keys()
    own = ("self_attn", "input_layernorm") if kind == "attention" else ("mlp", "post_attention_layernorm")
    assert gone
    assert all(any(part in name for part in own) for name in gone)


def test_every_variant_is_a_setting_of_the_method():
    kinds = {AttentionDrop(**settings).kind for settings in AttentionDrop.variants.values()}
    assert kinds == set(AttentionDrop.variants) == {"attention", "mlp", "block", "joint"}
