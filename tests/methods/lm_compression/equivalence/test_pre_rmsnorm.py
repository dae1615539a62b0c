"""The rewritten model is the same function, to rounding; nothing takes a mean any more; one dimension is gone."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
)

from methods._techniques.rms import CRMSNorm, RMSNorm
from methods.lm_compression.equivalence._pre_ln import ANATOMIES
from methods.lm_compression.equivalence.pre_rmsnorm import PreRMSNorm
from suites._language.toy import toy_model
from tests.methods.lm_compression.compression_toys import limited, task_around

HIDDEN, VOCABULARY = 32, 61
IDS = torch.randint(2, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(1))
KINDS = ["gpt2", "gpt2-untied", "neox", "neox-serial", "opt"]
MISTRAL = MistralConfig(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    intermediate_size=16,
    vocab_size=11,
)
METHODS = [PreRMSNorm(), PreRMSNorm(compressed=True)]


def random_model(kind: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """With scales, shifts and biases that matter, and a stream whose mean is far from zero."""
    torch.manual_seed(3)
    ids = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    model: PreTrainedModel
    if kind.startswith("gpt2"):
        settings = {"n_embd": HIDDEN, "n_layer": 3, "n_head": 4, "n_positions": 64, "vocab_size": VOCABULARY}
        model = GPT2LMHeadModel(GPT2Config(**settings, **ids, tie_word_embeddings=kind == "gpt2"))
    elif kind.startswith("neox"):
        shape = {"hidden_size": HIDDEN, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
        config = GPTNeoXConfig(**shape, **ids, vocab_size=VOCABULARY, use_parallel_residual=kind == "neox")
        model = GPTNeoXForCausalLM(config)
    else:
        shape = {"hidden_size": HIDDEN, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_dim": 48}
        size = {"vocab_size": VOCABULARY, "max_position_embeddings": 64, "word_embed_proj_dim": HIDDEN}
        model = OPTForCausalLM(OPTConfig(**shape, **size, **ids))
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.3)
    return model.to(dtype).eval()


def logits(model: Any, ids: Tensor = IDS, **call: Any) -> Tensor:
    with torch.no_grad():
        return model(input_ids=ids, **call).logits


def stream(model: Any) -> Tensor:
    """The residual stream that enters the third block."""
    seen = []
    blocks = model.get_submodule(ANATOMIES[model.config.model_type].blocks)
    handle = blocks[2].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits(model)
    handle.remove()
    return seen[0]


def built(kind: str, method: PreRMSNorm, dtype: torch.dtype = torch.float64) -> tuple[Any, Any]:
    dense = random_model(kind, dtype)
    return dense, method.build(task_around(dense))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_logits_are_equal_to_rounding_in_float64(kind: str, method: PreRMSNorm) -> None:
    dense, candidate = built(kind, method)
    assert logits(dense).std() > 0.1
    assert (logits(candidate) - logits(dense)).abs().max() < 1e-11


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_no_layer_norm_is_left(kind: str, method: PreRMSNorm) -> None:
    _, candidate = built(kind, method)
    norms = [type(module) for module in candidate.modules() if type(module).__name__.endswith(("LayerNorm", "RMSNorm"))]
    assert norms == [CRMSNorm if method.compressed else RMSNorm] * 7


@pytest.mark.parametrize("kind", KINDS)
def test_the_stream_has_mean_zero_and_compressed_one_number_less(kind: str) -> None:
    for method in METHODS:
        dense, candidate = built(kind, method)
        before, after = stream(dense), stream(candidate)
        centred = before - before.mean(-1, keepdim=True)
        assert before.mean(-1).abs().min() > 1e-3
        assert torch.allclose(after, centred[..., :-1] if method.compressed else centred, atol=1e-10)


@pytest.mark.parametrize("kind", ["gpt2", "neox", "opt"])
@pytest.mark.parametrize("method", METHODS)
def test_decoding_and_padding_are_right(kind: str, method: PreRMSNorm) -> None:
    dense, candidate = built(kind, method)
    greedy = {"max_new_tokens": 6, "do_sample": False, "attention_mask": torch.ones_like(IDS)}
    expected = dense.generate(IDS, use_cache=False, **greedy)
    assert torch.equal(candidate.generate(IDS, use_cache=True, **greedy), expected)
    assert torch.equal(candidate.generate(IDS, use_cache=False, **greedy), expected)
    kept = logits(candidate, logits_to_keep=1)
    assert torch.allclose(kept, logits(dense)[:, -1:], atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_changes_by_its_rounding(kind: str) -> None:
    exact = logits(random_model(kind))
    dense_error = (logits(random_model(kind, torch.bfloat16)).double() - exact).norm() / exact.norm()
    for method in METHODS:
        _, candidate = built(kind, method, torch.bfloat16)
        assert (logits(candidate).double() - exact).norm() / exact.norm() < 3 * dense_error


def test_tied_embeddings_stay_one_table_and_a_dimension_is_saved() -> None:
    sizes = []
    for method in METHODS:
        dense, candidate = built("gpt2", method)
        assert candidate.lm_head.weight is candidate.transformer.wte.weight
        sizes.append(sum(parameter.numel() for parameter in candidate.parameters()))
    dense_size = sum(parameter.numel() for parameter in dense.parameters())
    norms = 6 * 2 * HIDDEN  # six norms lose scale and shift; the head gains the means of its rows
    assert sizes[0] == dense_size - norms + VOCABULARY
    per_block = (
        3 * HIDDEN + 4 * HIDDEN + HIDDEN + 4 * HIDDEN + 2
    )  # a column or row of each matrix, and two bias numbers
    assert sizes[0] - sizes[1] == VOCABULARY + 64 + 3 * per_block


@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_compressed_norm_is_the_norm(eps: float) -> None:
    x = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x -= x.mean(-1, keepdim=True)
    reference = nn.functional.layer_norm(x, (9,), eps=eps)
    assert torch.allclose(RMSNorm(eps)(x), reference, atol=1e-14)
    assert torch.allclose(CRMSNorm(eps)(x[:, :-1]), reference[:, :-1], atol=1e-14)
    for norm in (RMSNorm(eps), CRMSNorm(eps)):
        assert norm(x.bfloat16()).dtype == torch.bfloat16


def test_what_it_can_not_do_it_says() -> None:
    mistral, gpt2 = task_around(MistralForCausalLM(MISTRAL)), task_around(random_model("gpt2"))
    assert "no LayerNorm, and of type 'mistral'" in str(METHODS[0].supports(mistral))
    assert METHODS[0].supports(gpt2) is None
    assert "exact rewrite" in str(METHODS[0].supports(limited(gpt2, stored_ratio=0.75)))
    post = OPTForCausalLM(
        OPTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            ffn_dim=16,
            word_embed_proj_dim=16,
            vocab_size=11,
            do_layer_norm_before=False,
        )
    )
    assert "not Pre-LN" in str(METHODS[0].supports(task_around(post)))
    with pytest.raises(ValueError, match="no LayerNorm"):
        METHODS[0].build(mistral)


def test_the_dense_model_is_unchanged() -> None:
    dense = random_model("gpt2")
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    METHODS[1].build(task_around(dense))
    assert all(torch.equal(before[name], value) for name, value in dense.state_dict().items())


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("make", "allowed"), [(lambda: random_model("gpt2"), 1e-10), (toy_model, 1e-3)])
def test_the_same_code_runs_on_a_gpu(cuda: str, method: PreRMSNorm, make: Any, allowed: float) -> None:
    dense = make().to(cuda)
    candidate = method.build(task_around(dense))
    assert (logits(candidate, IDS.to(cuda)) - logits(dense, IDS.to(cuda))).abs().max() < allowed
