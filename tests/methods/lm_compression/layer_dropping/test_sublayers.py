"""Dropping removes, leaves the rest as it was, and generation stays right with the KV cache."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from methods.lm_compression.layer_dropping._sublayers import Sublayer, drop, sublayers, undroppable, whole_block

from .conftest import BLOCKS, parameters, random_model, reference_without

CUTS = {
    "nothing": [],
    "attention of the first block": [Sublayer(0, "attention")],
    "attention of a middle block": [Sublayer(2, "attention")],
    "attention of the last block": [Sublayer(3, "attention")],
    "attention of the first two blocks": [Sublayer(0, "attention"), Sublayer(1, "attention")],
    "MLPs": [Sublayer(0, "mlp"), Sublayer(3, "mlp")],
    "first block": whole_block(0),
    "last block": whole_block(3),
    "first block and the second's attention": [*whole_block(0), Sublayer(1, "attention")],
    "all but one attention": [
        Sublayer(i, k) for i in range(4) for k in ("attention", "mlp") if (i, k) != (2, "attention")
    ],
    "every attention": [Sublayer(index, "attention") for index in range(4)],
    "every block": [sublayer for index in range(4) for sublayer in whole_block(index)],
}


def generate(model: PreTrainedModel, ids: torch.Tensor, **settings: Any) -> torch.Tensor:
    settings.setdefault("attention_mask", torch.ones_like(ids))
    return model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0, **settings)


@pytest.fixture(params=["llama", "qwen2"])
def dense(request: pytest.FixtureRequest) -> PreTrainedModel:
    return random_model(request.param)


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_dropped_sublayer_is_the_identity_on_the_residual_stream(dense, cut, prompt):
    with torch.no_grad():
        logits = drop(dense, cut)(prompt).logits
    assert torch.allclose(logits, reference_without(dense, cut, prompt), atol=1e-5)


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_generation_is_the_same_with_and_without_the_cache(dense, cut, prompt):
    candidate = drop(dense, cut)
    assert torch.equal(generate(candidate, prompt, use_cache=True), generate(candidate, prompt, use_cache=False))


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_cached_steps_give_the_logits_of_one_pass(dense, cut, prompt):
    candidate = drop(dense, cut)
    with torch.no_grad():
        whole = candidate(prompt).logits
        cache, parts = None, []
        for piece in prompt.split([5, 1, 2, 1], dim=1):
            out = candidate(piece, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            parts.append(out.logits)
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_left_padding_changes_nothing(dense, cut, prompt):
    candidate = drop(dense, cut)
    short = prompt[:1, 4:]
    batch = torch.cat([torch.cat([torch.zeros(1, 4, dtype=torch.long), short], 1), prompt[1:]])
    together = generate(candidate, batch, attention_mask=(batch != 0).long())
    assert torch.equal(together[0, 9:], generate(candidate, short)[0, 5:])
    assert torch.equal(together[1], generate(candidate, prompt[1:])[0])


@pytest.mark.parametrize("cut", [cut for name, cut in CUTS.items() if not name.startswith("every")])
def test_a_static_cache_generates_the_same_tokens(cut, prompt):
    candidate = drop(random_model(), cut)
    static = generate(candidate, prompt, cache_implementation="static", disable_compile=True)
    assert torch.equal(static, generate(candidate, prompt, use_cache=False))


@settings(max_examples=25, deadline=None)
@given(st.sets(st.sampled_from([Sublayer(i, k) for i in range(BLOCKS) for k in ("attention", "mlp")])))
def test_any_cut_equals_silenced_sublayers_and_keeps_its_cache_right(cut):
    model, prompt = random_model(), torch.arange(1, 15).view(2, 7)
    candidate = drop(model, cut)
    with torch.no_grad():
        assert torch.allclose(candidate(prompt).logits, reference_without(model, cut, prompt), atol=1e-5)
    assert torch.equal(generate(candidate, prompt, use_cache=True), generate(candidate, prompt, use_cache=False))


def test_eager_attention_keeps_its_causal_mask(prompt):
    model, cut = random_model(attention="eager"), CUTS["first block and the second's attention"]
    with torch.no_grad():
        assert torch.allclose(drop(model, cut)(prompt).logits, reference_without(model, cut, prompt), atol=1e-5)


def test_dropped_parameters_are_gone_and_the_others_are_untouched(dense):
    cut = [Sublayer(1, "attention"), Sublayer(2, "mlp"), *whole_block(3)]
    before = dense.state_dict()
    after = drop(dense, cut).state_dict()
    gone = ("layers.1.self_attn", "layers.1.input_layernorm", "layers.2.mlp", "layers.2.post_attention", "layers.3.")
    assert set(after) == {name for name in before if not any(part in name for part in gone)}
    assert all(torch.equal(after[name], before[name]) for name in after)


def test_the_configuration_describes_the_candidate(dense):
    config = drop(dense, [Sublayer(0, "attention"), *whole_block(1), Sublayer(2, "mlp")]).config
    assert config.num_hidden_layers == 3
    type(config)(**config.to_dict())  # refuses a list of layer types of another length


def test_dropped_sublayers_do_not_compute(dense, prompt):
    candidate = drop(dense, [sublayer for sublayer in sublayers(dense) if sublayer != Sublayer(1, "mlp")])
    assert [type(block).__name__ for block in candidate.model.layers] == ["MLPBlock"]
    assert candidate.config.num_hidden_layers == 1
    cache = candidate(prompt, use_cache=True).past_key_values
    assert all(layer.keys is None or layer.keys.numel() == 0 for layer in cache.layers)


def test_the_cache_holds_the_remaining_attentions_only(dense, prompt):
    cache = drop(dense, [*whole_block(0), Sublayer(1, "attention")])(prompt, use_cache=True).past_key_values
    assert sum(layer.is_initialized for layer in cache.layers) == 2
    assert cache.get_seq_length() == prompt.shape[1]


def test_the_dense_model_is_unchanged_and_shares_nothing(dense, prompt):
    before = copy.deepcopy(dense.state_dict())
    config = copy.deepcopy(dense.config.to_dict())
    candidate = drop(dense, [Sublayer(0, "attention"), *whole_block(1)])
    with torch.no_grad():
        for parameter in candidate.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in dense.state_dict().items())
    assert dense.config.to_dict() == config
    assert [block.self_attn.layer_idx for block in dense.model.layers] == list(range(BLOCKS))
    assert candidate.config is not dense.config
    assert candidate.model.layers[0].mlp is not dense.model.layers[0].mlp


def test_a_view_shares_every_tensor_and_answers_alike(dense, prompt):
    cut = [Sublayer(0, "attention"), *whole_block(2)]
    view = drop(dense, cut, share_weights=True)
    own = {tensor.data_ptr() for tensor in dense.parameters()}
    assert all(tensor.data_ptr() in own for tensor in view.parameters())
    with torch.no_grad():
        assert torch.equal(view(prompt).logits, drop(dense, cut)(prompt).logits)


def test_embeddings_stay_tied(dense):
    candidate = drop(dense, whole_block(0))
    assert candidate.lm_head.weight is candidate.model.embed_tokens.weight
    assert parameters(candidate) < parameters(dense)


def test_a_cut_model_can_be_cut_again(prompt):
    model = random_model()
    once = drop(model, whole_block(1))
    twice = drop(once, [Sublayer(0, "mlp")])
    at_once = drop(model, [*whole_block(1), Sublayer(0, "mlp")])
    with torch.no_grad():
        assert torch.equal(twice(prompt).logits, at_once(prompt).logits)


def test_an_unknown_sublayer_is_an_error(dense):
    with pytest.raises(ValueError, match="no sub-layer"):
        drop(dense, [Sublayer(BLOCKS, "mlp")])


def test_models_that_can_not_be_cut_are_named(dense):
    assert undroppable(dense) is None
    mixed = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=11,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            use_sliding_window=True,
            sliding_window=4,
            max_window_layers=1,
        )
    )
    assert "KV cache" in undroppable(mixed)
    cut = drop(dense, [Sublayer(1, "attention")])
    assert "block 1" in undroppable(cut)
