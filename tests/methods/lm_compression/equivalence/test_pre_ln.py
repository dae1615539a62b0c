"""A decoder with RMSNorm, written as a Pre-LN Transformer: the same function, and a mean that LayerNorm takes out."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

from methods.lm_compression.equivalence.pre_ln import PreLN
from methods.lm_compression.equivalence.pre_rmsnorm import PreRMSNorm
from suites._language.toy import toy_model
from tests.methods.lm_compression.compression_toys import limited, task_around

IDS = torch.randint(2, 60, (2, 12), generator=torch.Generator().manual_seed(1))

FLOAT32_NORM = 2e-6
"""How far logits may be apart: the norms of Llama and Qwen2 compute in float32 whatever the weights are."""


def base(kind: str) -> Any:
    """In float64, with scales and biases that matter, and an eps that does."""
    if kind == "llama":
        model: Any = toy_model()
    else:
        shape = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
        size = {"intermediate_size": 40, "vocab_size": 61, "initializer_range": 0.2}
        model = Qwen2ForCausalLM(Qwen2Config(**shape, **size, tie_word_embeddings=False))
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "norm" in name or "bias" in name:
            nn.init.normal_(parameter, mean=1.0, std=0.3)
    for module in model.modules():
        if hasattr(module, "variance_epsilon"):
            module.variance_epsilon = 0.3
    return model.double().eval()


@torch.no_grad()
def logits(model: Any) -> Tensor:
    return model(input_ids=IDS).logits


def stream(model: Any) -> Tensor:
    """What the third block gets."""
    seen: list[Tensor] = []
    handle = model.model.layers[2].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits(model)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_it_is_the_same_function(kind: str) -> None:
    model = base(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    form = PreLN().build(task_around(model))
    assert logits(model).std() > 0.1
    assert (logits(form) - logits(model)).abs().max() < FLOAT32_NORM
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_every_norm_takes_a_mean_out_that_is_there(kind: str) -> None:
    form = PreLN().build(task_around(base(kind)))
    norms = [type(module) for module in form.modules() if type(module).__name__.endswith("Norm")]
    assert norms == [nn.LayerNorm] * (2 * len(form.model.layers) + 1)
    mean, spread = stream(form).mean(-1), stream(form).std(-1)
    assert mean.abs().mean() > 0.1 * spread.mean()


def test_its_width_is_the_next_multiple_of_64() -> None:
    forms = {kind: PreLN().build(task_around(base(kind))) for kind in ("llama", "qwen2")}
    assert {kind: stream(form).shape[-1] for kind, form in forms.items()} == {"llama": 128, "qwen2": 64}


def test_decoding_with_a_cache_is_right() -> None:
    model = base("llama")
    greedy = {"max_new_tokens": 6, "do_sample": False, "attention_mask": torch.ones_like(IDS)}
    expected = model.generate(IDS, use_cache=False, **greedy)
    assert torch.equal(PreLN().build(task_around(model)).generate(IDS, use_cache=True, **greedy), expected)


@pytest.mark.parametrize("method", [PreRMSNorm(), PreRMSNorm(compressed=True)])
def test_pre_rmsnorm_rewrites_it(method: PreRMSNorm) -> None:
    model = base("llama")
    candidate = method.build(task_around(model))
    assert not any(isinstance(module, nn.LayerNorm) for module in candidate.modules())
    assert stream(candidate).shape[-1] == (127 if method.compressed else 128)
    assert (logits(candidate) - logits(model)).abs().max() < FLOAT32_NORM


def test_a_pre_ln_base_is_itself() -> None:
    model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=11))
    assert PreLN().build(task_around(model)) is model
    assert PreLN().supports(task_around(model)) is None
    assert "exact rewrite" in str(PreLN().supports(limited(task_around(model), stored_ratio=0.75)))
